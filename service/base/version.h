/* version.h - the version of all programs. */
#ifndef LONGANIM_BASE_VERSION_H
#define LONGANIM_BASE_VERSION_H

#define LONGANIM_VERSION "0.1.0"

#endif
