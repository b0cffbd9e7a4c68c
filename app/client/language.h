/* The language of the user, for every program on his side. */
#pragma once

/* Before any text is made. Catalogues come from where Warren is installed, or from
 * $WARREN_LOCALE_DIR when it is not. */
void warren_language_init (void);
