#include "engine/model_lib.h"

#include "base/config.h"
#include "base/fs.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int symbol(void *handle, const char *name, void *out_function, struct err *e)
{
    void *address = dlsym(handle, name);
    if (!address)
        return err_set(e, ERR_model_error, "libmodel_shim.so has no %s: it belongs to another build", name);
    memcpy(out_function, &address, sizeof address); /* ISO C has no cast from object to function pointer */
    return 0;
}

void model_lib_prepare(char **argv)
{
    if (config_library_default("OMP_WAIT_POLICY", "passive"))
        execv("/proc/self/exe", argv); /* where that fails, all works as before, only slower */
}

int model_lib_open(struct model_lib *out, struct err *e)
{
    if (out->handle)
        return 0;
    char folder[FS_PATH_MAX], path[FS_PATH_MAX];
    if (fs_program_dir(folder, e) != 0 || fs_join(path, folder, "libmodel_shim.so", e) != 0)
        return -1;
    struct model_lib lib = {0};
    lib.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib.handle)
        return err_set(e, ERR_model_error, "the model library cannot be loaded: %s", dlerror());
#define MODEL_LIB_LOAD(name)                                                                                           \
    if (symbol(lib.handle, "mdl_" #name, &lib.name, e) != 0)                                                           \
        goto fail;
    MODEL_LIB_TABLE(MODEL_LIB_LOAD)
#undef MODEL_LIB_LOAD
    if (lib.abi() != MDL_ABI) {
        err_set(e, ERR_model_error, "libmodel_shim.so has ABI %u, this program wants %u", lib.abi(), MDL_ABI);
        goto fail;
    }
    *out = lib;
    return 0;
fail:
    dlclose(lib.handle);
    return -1;
}

static const struct {
    int mdl;
    enum err_code code;
} codes[] = {
    {MDL_EINVAL, ERR_params_invalid}, {MDL_EWEIGHTS, ERR_model_error},       {MDL_ENOMEM, ERR_gpu_oom},
    {MDL_EDEVICE, ERR_gpu_fault},     {MDL_ECANCELED, ERR_canceled_by_user}, {MDL_EINTERNAL, ERR_internal},
    {MDL_ENAN, ERR_nan_output},
};

int model_lib_check(int rc, const struct mdl_error *from, struct err *e)
{
    if (rc == MDL_OK)
        return 0;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].mdl == rc)
            return err_set(e, codes[i].code, "%.*s", (int)sizeof from->text, from->text);
    return err_set(e, ERR_internal, "the model library returned %d: %.*s", rc, (int)sizeof from->text, from->text);
}

static int read_device(const char *text, struct mdl_options *out, struct err *e)
{
    static const struct {
        const char *name;
        int device;
    } devices[] = {{"auto", MDL_DEVICE_AUTO}, {"cpu", MDL_DEVICE_CPU}, {"cuda", MDL_DEVICE_CUDA}};
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
        if (strcmp(text, devices[i].name) == 0) {
            out->device = devices[i].device;
            out->device_index = 0;
            return 0;
        }
    char *end = NULL;
    long index = strncmp(text, "cuda:", 5) == 0 ? strtol(text + 5, &end, 10) : -1;
    if (!end || end == text + 5 || *end || index < 0 || index > 1023)
        return err_set_field(e, ERR_params_invalid, "device", "device is \"%.40s\", not auto, cpu, cuda or cuda:N",
                             text);
    out->device = MDL_DEVICE_CUDA;
    out->device_index = (int32_t)index;
    return 0;
}

static int read_dtype(const char *text, struct mdl_options *out, struct err *e)
{
    static const struct {
        const char *name;
        int dtype;
    } dtypes[] = {{"auto", MDL_DTYPE_AUTO}, {"f32", MDL_DTYPE_F32}, {"bf16", MDL_DTYPE_BF16}};
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (strcmp(text, dtypes[i].name) == 0) {
            out->dtype = dtypes[i].dtype;
            return 0;
        }
    return err_set_field(e, ERR_params_invalid, "dtype", "dtype is \"%.40s\", not auto, f32 or bf16", text);
}

int model_lib_compute(const char *device, const char *dtype, struct mdl_options *out, struct err *e)
{
    return read_device(device, out, e) != 0 || read_dtype(dtype ? dtype : "auto", out, e) != 0 ? -1 : 0;
}
