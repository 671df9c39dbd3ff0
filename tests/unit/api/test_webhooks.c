#include "api/webhooks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void the_mac_is_that_of_rfc_4231(void **state)
{
    uint8_t mac[HASH_SIZE];
    char hex[HASH_HEX_SIZE];

    (void)state;
    hash_hmac("Jefe", 4, "what do ya want for nothing?", 28, mac);
    hash_hex(mac, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void base_64_is_that_of_rfc_4648(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
    char out[HASH_BASE64_SIZE(6)];

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        hash_base64(pairs[i][0], strlen(pairs[i][0]), out);
        assert_string_equal(out, pairs[i][1]);
    }
}

/* Made with Python's hmac module: the key is the bytes 0 to 23. */
static void deliveries_are_signed_as_standard_webhooks_says(void **state)
{
    struct webhook hook = {.url = "x"};
    char signature[WEBHOOK_SIGNATURE_SIZE];

    (void)state;
    for (int i = 0; i < WEBHOOK_KEY_SIZE; i++)
        hook.key[i] = (uint8_t)i;
    webhook_sign(&hook, "msg_1", 1614265330, "{\"test\": 2432232314}", signature);
    assert_string_equal(signature, "v1,daJC9zjteVUEcGf6sESvuljSVDEsnQ3shawBrSwYgzU=");
}

static void what_is_no_record_is_not_read(void **state)
{
    static const char *const bad[] = {"", "[]", "{}", "{\"url\":\"x\",\"key\":\"00\",\"created_ms\":1}",
                                      "{\"url\":1,\"key\":\"\",\"created_ms\":1}"};
    struct webhook hook;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(webhook_parse(&hook, bad[i]), -1);
    assert_int_equal(webhook_parse(&hook, "{\"url\":\"https://a.test\",\"key\":"
                                          "\"000102030405060708090a0b0c0d0e0f1011121314151617\",\"created_ms\":5}"),
                     0);
    assert_string_equal(hook.url, "https://a.test");
    assert_int_equal(hook.key[23], 23);
    assert_int_equal(hook.created_ms, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mac_is_that_of_rfc_4231),
        cmocka_unit_test(base_64_is_that_of_rfc_4648),
        cmocka_unit_test(deliveries_are_signed_as_standard_webhooks_says),
        cmocka_unit_test(what_is_no_record_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
