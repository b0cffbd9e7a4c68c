#include "coordinator/pages.h"

#include "base/bytes.h"
#include "coordinator/accounts.h"
#include "coordinator/web.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char style[]
    = ":root{color-scheme:light dark;--text:#1d1b1a;--soft:#5d5853;--back:#f6f4f1;--card:#fff;"
      "--line:#d9d4cd;--field:#8a837a;--deed:#8a4b12;--on-deed:#fff;--alert:#a3201a;"
      "--alert-back:#fbe9e7}"
      "@media(prefers-color-scheme:dark){:root{--text:#f0ece7;--soft:#b5aea5;--back:#1b1917;"
      "--card:#272421;--line:#413c37;--field:#8f877d;--deed:#f0a765;--on-deed:#241404;"
      "--alert:#ffb4ab;--alert-back:#4a1c18}}"
      "*{box-sizing:border-box}"
      "body{margin:0;min-height:100vh;background:var(--back);color:var(--text);"
      "font:1rem/1.5 system-ui,sans-serif;display:flex;flex-direction:column;align-items:center}"
      "header,main,footer{width:100%;max-width:30rem;padding:0 1rem}"
      "header{padding-top:2rem;font-weight:600}header span{color:var(--soft);font-weight:400}"
      "main{background:var(--card);border:1px solid var(--line);border-radius:.75rem;"
      "padding:1.5rem;margin:1rem 0;overflow-wrap:anywhere}"
      "@media(max-width:32rem){main{border-width:1px 0;border-radius:0}}"
      "h1{font-size:1.4rem;line-height:1.25;margin:0 0 1rem}"
      "dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:1rem 0}"
      "dt{color:var(--soft)}dd{margin:0}"
      "label{display:block;font-weight:600;margin:1rem 0 .25rem}"
      "input,select{width:100%;font:inherit;color:inherit;background:transparent;padding:.5rem;"
      "border:1px solid var(--field);border-radius:.4rem}select{background:var(--card)}"
      ".deeds{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.25rem}"
      "button,.button{font:inherit;font-weight:600;padding:.55rem 1.1rem;border-radius:.4rem;"
      "border:1px solid var(--field);background:transparent;color:inherit;cursor:pointer;"
      "text-decoration:none;display:inline-block}"
      ".first{background:var(--deed);border-color:var(--deed);color:var(--on-deed)}"
      ".link{border:0;padding:0;text-decoration:underline;font-weight:400}"
      ":focus-visible{outline:3px solid var(--deed);outline-offset:2px}"
      "[role=alert]{color:var(--alert);background:var(--alert-back);border-radius:.4rem;"
      "padding:.5rem .75rem}"
      "details,.hint{color:var(--soft);margin-top:1.25rem}summary{cursor:pointer}"
      "code{user-select:all}footer{color:var(--soft);font-size:.9rem;padding-bottom:2rem}"
      "footer form{display:inline}a{color:inherit}";

const char *
pages_headers (void)
{
  static char headers[512];

  if (!headers[0]) {
    uint8_t hash[crypto_hash_sha256_BYTES];
    char text[64];
    crypto_hash_sha256 (hash, (const uint8_t *)style, sizeof style - 1);
    base64_encode (hash, sizeof hash, text);
    snprintf (headers, sizeof headers,
              "Content-Security-Policy: default-src 'none'; style-src 'sha256-%s'; "
              "form-action 'self'; frame-ancestors 'none'; base-uri 'none'\r\n"
              "Cross-Origin-Opener-Policy: same-origin\r\n",
              text);
  }
  return headers;
}

/* ---- pieces ---- */

static void
begin (Buffer *out, const Page *page, const char *title)
{
  buffer_append_text (out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                           "<meta name=\"viewport\" content=\"width=device-width,"
                           "initial-scale=1\"><title>");
  web_append_escaped (out, title);
  buffer_append_text (out, "</title><style>");
  buffer_append_text (out, style);
  buffer_append_text (out, "</style></head>\n<body><header>Warren <span>");
  web_append_escaped (out, page->network);
  buffer_append_text (out, "</span></header>\n<main><h1>");
  web_append_escaped (out, title);
  buffer_append_text (out, "</h1>\n");
  if (page->error) {
    buffer_append_text (out, "<p role=\"alert\">");
    web_append_escaped (out, page->error);
    buffer_append_text (out, "</p>\n");
  }
}

static void
append_token (Buffer *out, const char *token)
{
  buffer_append_text (out, "<input type=\"hidden\" name=\"token\" value=\"");
  web_append_escaped (out, token);
  buffer_append_text (out, "\">");
}

static void
end (Buffer *out, const Page *page)
{
  buffer_append_text (out, "</main>\n<footer>");
  if (page->account) {
    buffer_append_text (out, "Signed in as ");
    web_append_escaped (out, page->account);
    buffer_append_text (out, ". <form method=\"post\" action=\"/sign-out\">");
    append_token (out, page->out_token);
    buffer_append_text (out, "<button class=\"link\">Sign out</button></form>");
  }
  buffer_append_text (out, "</footer></body></html>\n");
}

static void
append_row (Buffer *out, const char *name, const char *value)
{
  if (!value[0])
    return;
  buffer_append_format (out, "<dt>%s</dt><dd>", name);
  web_append_escaped (out, value);
  buffer_append_text (out, "</dd>");
}

/* KIND and FILL are attributes of the page's own. */
static void
append_field (Buffer *out, const char *name, const char *label, const char *kind, const char *fill,
              const char *value)
{
  buffer_append_format (out,
                        "<label for=\"%s\">%s</label><input id=\"%s\" name=\"%s\" type=\"%s\" "
                        "autocomplete=\"%s\" maxlength=\"%d\" required value=\"",
                        name, label, name, name, kind, fill, ACCOUNTS_PASSWORD);
  web_append_escaped (out, value);
  buffer_append_text (out, "\">\n");
}

static void
append_login (Buffer *out, const char *login)
{
  append_field (out, "login", "Account", "text", "username", login);
}

/* ---- a device ---- */

static void
append_deeds (Buffer *out)
{
  buffer_append_text (out, "<div class=\"deeds\"><button class=\"first\" name=\"action\" "
                           "value=\"approve\">Let It In</button><button name=\"action\" "
                           "value=\"deny\" formnovalidate>Refuse</button></div>");
}

static void
append_people (Buffer *out, const PageDevice *device)
{
  if (!device->people)
    return;
  buffer_append_text (out, "<label for=\"user\">Whose device it is</label>"
                           "<select id=\"user\" name=\"user\">");
  for (size_t i = 0; device->people[i]; i++) {
    buffer_append_text (out, strcmp (device->people[i], device->login) == 0 ? "<option selected>"
                                                                            : "<option>");
    web_append_escaped (out, device->people[i]);
    buffer_append_text (out, "</option>");
  }
  buffer_append_text (out, "</select>");
}

static void
begin_device_form (Buffer *out, const Page *page, const PageDevice *device)
{
  buffer_append_text (out, "<form method=\"post\" action=\"/register/");
  web_append_encoded (out, device->id);
  buffer_append_text (out, "\">");
  append_token (out, page->form_token);
}

static void
append_sign_in_form (Buffer *out, const Page *page, const PageDevice *device)
{
  begin_device_form (out, page, device);
  append_login (out, device->login);
  append_field (out, "secret", "Password or one-time code", "password", "current-password", "");
  append_deeds (out);
  buffer_append_text (out, "</form>\n<details><summary>No password, or forgotten?</summary>"
                           "<p>Whoever runs this network can let the device in, or show a one-time "
                           "code, on the computer that it runs on:</p><p><code>warren network "
                           "approve</code></p><p>With the code you can also <a "
                           "href=\"/password\">set a password</a>.</p></details>");
}

void
page_device (Buffer *out, const Page *page, const PageDevice *device)
{
  char title[128], from[IP_TEXT_MAX] = "";

  snprintf (title, sizeof title, "Let \u201c%.60s\u201d in?",
            device->name[0] ? device->name : "a device without a name");
  begin (out, page, title);
  buffer_append_text (out, "<p>A device asks to join this network. Go on only if you have just "
                           "started signing in on it.</p><dl>");
  append_row (out, "Name", device->name);
  append_row (out, "System", device->system);
  append_row (out, "Tags", device->tags);
  append_row (out, "Key", device->key);
  if (device->from.family)
    ip_format (&device->from, from);
  append_row (out, "Asks from", from);
  buffer_append_text (out, "</dl>\n");
  if (page->account) {
    begin_device_form (out, page, device);
    append_people (out, device);
    append_deeds (out);
    buffer_append_text (out, "</form>");
  } else if (page->provider) {
    buffer_append_text (out, "<p><a class=\"button first\" href=\"/oidc/start?device=");
    web_append_encoded (out, device->id);
    buffer_append_text (out, "\">Sign in with ");
    web_append_escaped (out, page->provider);
    buffer_append_format (out,
                          "</a></p><details%s><summary>Use a password or one-time code</summary>",
                          device->unfolded ? " open" : "");
    append_sign_in_form (out, page, device);
    buffer_append_text (out, "</details>");
  } else {
    append_sign_in_form (out, page, device);
  }
  end (out, page);
}

/* ---- other pages ---- */

void
page_message (Buffer *out, const Page *page, const char *title, const char *text)
{
  begin (out, page, title);
  buffer_append_text (out, "<p>");
  web_append_escaped (out, text);
  buffer_append_text (out, "</p>");
  end (out, page);
}

void
page_password (Buffer *out, const Page *page, const char *login, const char *code)
{
  begin (out, page, "Set a password");
  buffer_append_format (out,
                        "<p>With it you let devices into this network. At least %d characters; "
                        "several words are easy to remember and hard to guess.</p>"
                        "<form method=\"post\" action=\"/password\">",
                        ACCOUNTS_PASSWORD_MIN);
  append_token (out, page->form_token);
  append_login (out, login);
  append_field (out, "secret", "One-time code or current password", "password", "current-password",
                code);
  append_field (out, "new", "New password", "password", "new-password", "");
  append_field (out, "again", "New password again", "password", "new-password", "");
  buffer_append_text (out,
                      "<div class=\"deeds\"><button class=\"first\">Set Password</button></div>"
                      "</form><details><summary>Where is the one-time code?</summary><p>"
                      "Whoever runs this network gives it to you. On the computer that it runs "
                      "on, this shows one for its owner:</p><p><code>warren network approve"
                      "</code></p></details>");
  end (out, page);
}

void
page_home (Buffer *out, const Page *page)
{
  begin (out, page, "A private network");
  buffer_append_text (out, "<p>Devices join it with this server's address. A device that wants to "
                           "join shows a link; open that link to let it in.</p><p><a "
                           "href=\"/password\">Set or change a password</a></p>");
  end (out, page);
}
