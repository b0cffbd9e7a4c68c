/* When an object that other threads may still be reading can be freed: quiescent states.
 *
 * One writer thread publishes pointers with atomic_store and retires what they replaced; readers
 * use atomic_load (both sequentially consistent, which the proof needs and x86 gives for nothing).
 * Each reader says at the top of its loop that it holds nothing (epoch_quiescent) and before it
 * sleeps that it will hold nothing (epoch_offline). An object is freed when every reader has done
 * one of the two after it was retired. Readers never wait. spec/wireguard-dataplane.md §12.3. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EPOCH_READERS_MAX 12

typedef struct EpochDomain EpochDomain;

/* A domain without readers. The thread that retires is the writer. */
EpochDomain *epoch_domain_new (void);

/* Frees what is still retired, then the domain. No reader may be online. */
void epoch_domain_free (EpochDomain *domain);

/* Another reader, offline at first; returns its number. At most EPOCH_READERS_MAX. Writer, before
 * the reader's thread starts. */
unsigned epoch_reader_add (EpochDomain *domain);

/* Reader: online, holding nothing from before this call. */
void epoch_quiescent (EpochDomain *domain, unsigned reader);

/* Reader: holds nothing and will not, until it calls epoch_quiescent again. */
void epoch_offline (EpochDomain *domain, unsigned reader);

/* Writer: begins a new epoch after a publication and returns its number. */
uint64_t epoch_advance (EpochDomain *domain);

/* True when every reader has passed EPOCH: none can see what was published before it. */
bool epoch_passed (const EpochDomain *domain, uint64_t epoch);

/* Writer: calls DESTROY (OBJECT) once no reader can hold it. NULL objects are ignored. */
void epoch_retire (EpochDomain *domain, void *object, void (*destroy) (void *object));

/* Writer: frees what can be freed; true when something is still waiting. */
bool epoch_reclaim (EpochDomain *domain);
