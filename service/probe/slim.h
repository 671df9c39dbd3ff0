/* slim.h - makes forks of this process cheap.
 *
 * A fork copies the kernel's list of mappings, and libav's libraries bring some 140 others along, almost all for
 * encoders, displays and networks, which a sandboxed decoder never calls. Mappings of those by name are left out of
 * children; a library that is not on the list stays. To be called once, with all symbols bound (LD_BIND_NOW) and
 * libav's tables filled; children must be made by _Fork, because handlers of pthread_atfork may live in what is left
 * out. */
#ifndef LONGANIM_PROBE_SLIM_H
#define LONGANIM_PROBE_SLIM_H

/* How many mappings are left out. */
int slim_down(void);

#endif
