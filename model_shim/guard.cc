// guard.cc - exceptions to codes. libtorch's own classes come before std::exception: memory that is out on host or
// device is MDL_ENOMEM, a device context that is lost (and stays lost) is MDL_EDEVICE, and the text goes without the
// C++ backtrace that libtorch appends. Kinds that have no class of their own are told by their words.
#include "guard.h"

#include "error.h"

#include <c10/util/Exception.h>

#include <cstring>
#include <exception>
#include <new>

namespace mdl
{
namespace
{

struct Words {
    const char *text;
    int code;
};

// The first row that occurs in the message decides.
const Words known_words[] = {
    {"out of memory", MDL_ENOMEM},
    {"can't allocate memory", MDL_ENOMEM},
    {"STATUS_ALLOC_FAILED", MDL_ENOMEM},
    {"CUDA error", MDL_EDEVICE},
    {"CUDA driver error", MDL_EDEVICE},
    {"device-side assert", MDL_EDEVICE},
    {"STATUS_EXECUTION_FAILED", MDL_EDEVICE},
    {"CUBLAS_STATUS_INTERNAL_ERROR", MDL_EDEVICE},
    {"CUDNN_STATUS_INTERNAL_ERROR", MDL_EDEVICE},
    {"CUDA-capable device", MDL_EDEVICE},
};

int code_of_words(const char *text) noexcept
{
    for (const Words &w : known_words)
        if (std::strstr(text, w.text))
            return w.code;
    return MDL_EINTERNAL;
}

} // namespace

int report(mdl_error *e, int code, const char *text) noexcept
{
    if (!e)
        return code;
    e->code = code;
    size_t n = strnlen(text, sizeof e->text);
    if (n == sizeof e->text) { // cut between characters, not inside one
        n--;
        while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80)
            n--;
    }
    std::memcpy(e->text, text, n);
    e->text[n] = '\0';
    return code;
}

int translate(mdl_error *e) noexcept
{
    try {
        throw;
    } catch (const Error &x) {
        return report(e, x.code, x.what());
    } catch (const c10::OutOfMemoryError &x) {
        return report(e, MDL_ENOMEM, x.what_without_backtrace());
    } catch (const c10::Error &x) {
        return report(e, code_of_words(x.what_without_backtrace()), x.what_without_backtrace());
    } catch (const std::bad_alloc &) {
        return report(e, MDL_ENOMEM, "out of host memory");
    } catch (const std::exception &x) {
        return report(e, MDL_EINTERNAL, x.what());
    } catch (...) {
        return report(e, MDL_EINTERNAL, "something that is no std::exception was thrown");
    }
}

} // namespace mdl
