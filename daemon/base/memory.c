#include "base/memory.h"

#include <link.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *
mem_new (size_t size)
{
  void *memory = calloc (1, size ? size : 1);

  if (!memory)
    abort ();
  return memory;
}

void *
mem_resize (void *memory, size_t size)
{
  memory = realloc (memory, size ? size : 1);
  if (!memory)
    abort ();
  return memory;
}

void *
mem_dup (const void *data, size_t size)
{
  if (size == 0)
    return NULL;
  void *copy = mem_resize (NULL, size);
  memcpy (copy, data, size);
  return copy;
}

char *
mem_strndup (const char *text, size_t length)
{
  char *copy = mem_resize (NULL, length + 1);

  if (length > 0)
    memcpy (copy, text, length);
  copy[length] = '\0';
  return copy;
}

void *
mem_grow (void *array, size_t count, size_t *room, size_t size)
{
  if (count < *room)
    return array;
  *room = *room ? *room * 2 : 8;
  return mem_resize (array, *room * size);
}

/* Only what is never written: those pages are in their files. */
static int
rest_object (struct dl_phdr_info *info, size_t size, void *data)
{
  uintptr_t page = (uintptr_t)sysconf (_SC_PAGESIZE);

  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW (Phdr) *header = &info->dlpi_phdr[i];
    uintptr_t begin = (info->dlpi_addr + header->p_vaddr) & ~(page - 1);
    uintptr_t end = (info->dlpi_addr + header->p_vaddr + header->p_filesz) & ~(page - 1);

    if (header->p_type == PT_LOAD && (header->p_flags & PF_W) == 0 && info->dlpi_addr != 0
        && end > begin)
      madvise ((void *)begin, end - begin, MADV_DONTNEED);
  }
  return 0;
}

void
memory_rest (void)
{
  malloc_trim (0);
  dl_iterate_phdr (rest_object, NULL);
}
