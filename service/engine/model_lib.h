/* model_lib.h - libmodel_shim.so, loaded when first needed, and the one place where MDL_* codes become struct err.
 *
 * Loading at run time keeps libtorch out of programs that only talk, and gives one sentence instead of a linker's
 * message when the library is missing or of another build.
 * Threads: a table is read-only once opened. */
#ifndef LONGANIM_ENGINE_MODEL_LIB_H
#define LONGANIM_ENGINE_MODEL_LIB_H

#include "base/err.h"

#include <model.h>
#include <train.h>

/* Every function of model.h and train.h that the service calls; the table, the loader and its checks come from this
 * list. */
#define MODEL_LIB_TABLE(X)                                                                                             \
    X(abi)                                                                                                             \
    X(version)                                                                                                         \
    X(options_init)                                                                                                    \
    X(params_init)                                                                                                     \
    X(open)                                                                                                            \
    X(describe)                                                                                                        \
    X(plan_run)                                                                                                        \
    X(run)                                                                                                             \
    X(close)                                                                                                           \
    X(parity)                                                                                                          \
    X(check)                                                                                                           \
    X(train_settings_init)                                                                                             \
    X(train_open)                                                                                                      \
    X(train_describe)                                                                                                  \
    X(train_lines)                                                                                                     \
    X(train_run)                                                                                                       \
    X(train_export)                                                                                                    \
    X(train_close)

struct model_lib {
    void *handle; /* NULL = not open */
#define MODEL_LIB_FIELD(name) __typeof__(&mdl_##name) name;
    MODEL_LIB_TABLE(MODEL_LIB_FIELD)
#undef MODEL_LIB_FIELD
};

/* Call first in main of a program that computes with the networks. OpenMP's threads spin while they wait for each
 * other, which on cores that others use too takes the time from those that they wait for: six times slower, seen beside
 * one busy process. They sleep instead when the environment says so, but libgomp reads that when it is loaded, and
 * FFmpeg's libraries pull it in before main: so the program is started once more, in place, with the setting made. An
 * OMP_WAIT_POLICY that is set already is left alone. */
void model_lib_prepare(char **argv);

/* Opens libmodel_shim.so beside the running program. model_error when it is missing, lacks a function or has another
 * ABI. A second open of an open table does nothing. */
int model_lib_open(struct model_lib *out, struct err *e);

/* Fills e from an MDL_E* code and its text; returns -1 (0 when rc is MDL_OK). */
int model_lib_check(int rc, const struct mdl_error *from, struct err *e);

/* Device "auto", "cpu", "cuda", "cuda:N" and type "auto", "f32", "bf16" (NULL = auto) -> the fields of mdl_options.
 * params_invalid. */
int model_lib_compute(const char *device, const char *dtype, struct mdl_options *out, struct err *e);

#endif
