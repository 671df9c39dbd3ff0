/* version.h - the version of all programs, and the model that comes with them. */
#ifndef LONGANIM_BASE_VERSION_H
#define LONGANIM_BASE_VERSION_H

#define LONGANIM_VERSION "0.1.0"

/* A folder in models/: what is used when neither settings nor workers name a model. */
#define LONGANIM_MODEL_SHIPPED "demo"

#endif
