#include "tests/support/store_conformance.h"

#include "store/folder_int.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char root[160], url[200];

static int setup(void **state)
{
    struct err e;
    (void)state;
    if (make_scratch_folder() != 0)
        return -1;
    snprintf(root, sizeof root, "%s/store", scratch);
    snprintf(url, sizeof url, "file:%s", root);
    return store_open(&store, url, &e);
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    return fs_remove_tree(scratch, NULL);
}

static int count_entries(const char *folder)
{
    char command[400];
    int count = -1;
    snprintf(command, sizeof command, "ls -A %s | wc -l", folder);
    FILE *out = popen(command, "r");
    if (fscanf(out, "%d", &count) != 1)
        count = -1;
    pclose(out);
    return count;
}

static void nothing_temporary_is_left_behind(void **state)
{
    char tmp[200], path[FS_PATH_MAX], sha[HASH_HEX_SIZE];
    struct err e;
    (void)state;
    snprintf(tmp, sizeof tmp, "%s/.tmp", root);
    scratch_path(path, "file");
    make_file(path, 5000, sha);
    sha[0] ^= 1;
    store_put_file(store, "t/x", path, sha, false, &e);
    store_put_bytes(store, "t/y", "y", 1, &e);
    assert_int_equal(store_probe(store, &e), 0);
    assert_int_equal(count_entries(tmp), 0);
    store_delete(store, "t/y", &e);
    snprintf(tmp, sizeof tmp, "%s/t", root);
    assert_int_equal(access(tmp, F_OK), -1); /* the empty folder went with its last object */
}

static void the_sweep_removes_old_temporaries_only(void **state)
{
    char path[300];
    int removed = -1;
    struct err e;
    (void)state;
    snprintf(path, sizeof path, "%s/.tmp/left", root);
    assert_int_equal(fs_write_atomic(path, "x", 1, &e), 0);
    assert_int_equal(store_sweep(store, 60000, &removed, &e), 0);
    assert_int_equal(removed, 0);
    clock_sleep_ms(20);
    assert_int_equal(store_sweep(store, 10, &removed, &e), 0);
    assert_int_equal(removed, 1);
    assert_int_equal(access(path, F_OK), -1);
}

static void links_inside_the_store_are_not_followed(void **state)
{
    char path[300], target[300];
    struct store_info info;
    struct buf b;
    struct err e;
    (void)state;
    buf_init(&b, 4096);
    snprintf(target, sizeof target, "%s/outside", scratch);
    assert_int_equal(fs_mkdirs(target, &e), 0);
    snprintf(path, sizeof path, "%s/outside/secret", scratch);
    assert_int_equal(fs_write_atomic(path, "secret", 6, &e), 0);
    put_text("links/real", "x");
    snprintf(path, sizeof path, "%s/links/folder", root);
    assert_int_equal(symlink(target, path), 0);
    snprintf(path, sizeof path, "%s/links/file", root);
    snprintf(target, sizeof target, "%s/outside/secret", scratch);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(store_get_bytes(store, "links/file", &b, &e), -1);
    assert_int_equal(store_get_bytes(store, "links/folder/secret", &b, &e), -1);
    assert_int_equal(store_put_bytes(store, "links/folder/new", "x", 1, &e), -1);
    store_delete(store, "links/folder/secret", &e); /* there is no such object */
    assert_int_equal(access(target, F_OK), 0);
    assert_int_equal(store_stat(store, "links/folder/secret", &info, &e), -1);
    expect_list("links/", "", collect_keys, "links/real ");
    assert_int_equal(store_put_bytes(store, "links/file", "mine", 4, &e), 0); /* replaces the link, not its target */
    b.size = 0;
    assert_int_equal(fs_read(target, &b, &e), 0);
    assert_string_equal(b.data, "secret");
    buf_free(&b);
}

/* Opens paths in a child whose kernel knows no openat2; its exit status is what went wrong. */
static int check_without_openat2(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int fd = open(root, O_RDONLY | O_DIRECTORY);
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0) != 0 || seccomp_load(filter) != 0)
        return 1;
    if (store__open_below(fd, "walk/a/b", O_RDONLY) < 0)
        return 2;
    if (store__open_below(fd, "walk/a/", O_RDONLY | O_DIRECTORY) < 0)
        return 3;
    if (store__open_below(fd, "walk/none/b", O_RDONLY) >= 0 || errno != ENOENT)
        return 4;
    if (store__open_below(fd, "walk/link/b", O_RDONLY) >= 0)
        return 5;
    return store__open_below(fd, "walk/filelink", O_RDONLY) < 0 ? 0 : 6;
}

static void an_old_kernel_walks_the_path_itself(void **state)
{
    char path[300];
    int status;
    (void)state;
    put_text("walk/a/b", "x");
    snprintf(path, sizeof path, "%s/walk/link", root);
    assert_int_equal(symlink("a", path), 0);
    snprintf(path, sizeof path, "%s/walk/filelink", root);
    assert_int_equal(symlink("a/b", path), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(check_without_openat2());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_store_that_went_away_is_not_made_anew(void **state)
{
    char away[300];
    struct err e;
    (void)state;
    put_text("away/x", "kept");
    snprintf(away, sizeof away, "%s/away", scratch);
    assert_int_equal(rename(root, away), 0);
    assert_int_equal(store_probe(store, &e), -1);
    assert_int_equal(e.code, ERR_dependency_storage);
    assert_int_equal(store_put_bytes(store, "away/y", "y", 1, &e), -1);
    assert_int_equal(e.code, ERR_dependency_storage);
    assert_int_equal(access(root, F_OK), -1);
    assert_int_equal(rename(away, root), 0);
    expect_text("away/x", "kept");
}

/* ---- on a small file system of their own; run in a child, whose exit status is the line that failed, 77 = skip ----
 */

#define NEED(condition)                                                                                                \
    do                                                                                                                 \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: not true: " #condition "; %s\n", __LINE__, e.detail);                            \
            return 1;                                                                                                  \
        }                                                                                                              \
    while (0)

static char small[300];

static int mount_small(const char *options)
{
    snprintf(small, sizeof small, "%s/small", scratch);
    if ((mkdir(small, 0700) != 0 && errno != EEXIST) ||
        (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return -1;
    return mount("tmpfs", small, "tmpfs", 0, options);
}

/* Objects of one block until no more is taken; how many. */
static int fill(struct store *s, struct err *e)
{
    char key[32], data[4096] = {0};
    int kept = 0;
    for (; kept < 5000; kept++) {
        snprintf(key, sizeof key, "k/%d", kept);
        if (store_put_bytes(s, key, data, sizeof data, e) != 0)
            break;
    }
    return kept;
}

static int litter(const struct store *s)
{
    char folder[320];
    (void)s;
    snprintf(folder, sizeof folder, "%s/store/.tmp", small);
    return count_entries(folder);
}

static int check_watermark(void)
{
    struct store *s;
    struct err e = {0};
    char place[320], big[FS_PATH_MAX], sha[HASH_HEX_SIZE];
    if (mount_small("size=4m") != 0)
        return 77;
    snprintf(place, sizeof place, "file:%s/store", small);
    NEED(store_open(&s, place, &e) == 0);
    int kept = fill(s, &e), blocks = 4 * 256;
    NEED(e.code == ERR_storage_full && kept > blocks * 9 / 10 && kept <= blocks * 19 / 20); /* a twentieth stays free */
    NEED(store_probe(s, &e) != 0 && e.code == ERR_storage_full);
    NEED(store_put_bytes(s, "tiny", "x", 1, &e) != 0 && e.code == ERR_storage_full);
    scratch_path(big,
                 "big"); /* on another file system: it cannot be moved, so it has to be refused before it is read */
    make_file(big, 300000, sha);
    NEED(store_put_file(s, "big", big, sha, true, &e) != 0 && e.code == ERR_storage_full);
    NEED(access(big, R_OK) == 0 && litter(s) == 0);
    struct buf b;
    buf_init(&b, 4096);
    NEED(store_get_bytes(s, "k/0", &b, &e) == 0 && b.size == 4096);
    buf_free(&b);
    NEED(store_delete(s, "k/0", &e) == 0 && store_probe(s, &e) == 0);
    NEED(store_put_bytes(s, "tiny", "x", 1, &e) == 0);
    store_close(s);
    return 0;
}

/* Somebody else takes all there is: not a single file can be made. */
static int check_really_full(void)
{
    struct store *s;
    struct err e = {0};
    char place[320];
    if (mount_small("size=64m,nr_inodes=64") != 0)
        return 77;
    snprintf(place, sizeof place, "file:%s/store", small);
    NEED(store_open(&s, place, &e) == 0);
    int kept = fill(s, &e);
    NEED(e.code == ERR_storage_full && kept > 40 && kept < 64 && litter(s) == 0);
    NEED(store_probe(s, &e) != 0 && e.code == ERR_storage_full);
    NEED(store_put_bytes(s, "a/b/c", "x", 1, &e) != 0 && e.code == ERR_storage_full);
    NEED(store_delete(s, "k/0", &e) == 0 && store_delete(s, "k/1", &e) == 0 && store_probe(s, &e) == 0);
    NEED(store_put_bytes(s, "k/0", "x", 1, &e) == 0);
    /* An object whose folder finds no room leaves nothing behind. */
    NEED(store_put_bytes(s, "a/b/c", "x", 1, &e) != 0 && e.code == ERR_storage_full && litter(s) == 0);
    NEED(store_delete(s, "k/2", &e) == 0 && store_delete(s, "k/3", &e) == 0 && store_delete(s, "k/4", &e) == 0);
    NEED(store_put_bytes(s, "a/b/c", "x", 1, &e) == 0);
    store_close(s);
    return 0;
}

static void run_small(int (*check)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(check());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

static void at_the_watermark_nothing_is_taken_but_given_and_deleted(void **state)
{
    (void)state;
    run_small(check_watermark);
}

static void on_a_disk_without_room_nothing_breaks_and_space_heals(void **state)
{
    (void)state;
    run_small(check_really_full);
}

static void an_open_descriptor_outlives_the_object(void **state)
{
    int fd = -1;
    int64_t bytes = 0;
    char data[4];
    struct err e;
    (void)state;
    put_text("fd/x", "data");
    assert_int_equal(store_open_fd(store, "fd/x", &fd, &bytes, &e), 0);
    assert_int_equal(bytes, 4);
    assert_int_equal(store_delete(store, "fd/x", &e), 0);
    assert_int_equal(pread(fd, data, 4, 0), 4);
    close(fd);
}

static void a_store_needs_an_absolute_path_and_a_known_scheme(void **state)
{
    static const char *const bad[] = {"file:relative", "file:", "ftp://host/x", "", "/dir"};
    struct store *s;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        assert_int_equal(store_open(&s, bad[i], &e), -1);
        assert_int_equal(e.code, ERR_params_invalid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_CONFORMANCE_TESTS,
        cmocka_unit_test(nothing_temporary_is_left_behind),
        cmocka_unit_test(the_sweep_removes_old_temporaries_only),
        cmocka_unit_test(links_inside_the_store_are_not_followed),
        cmocka_unit_test(an_old_kernel_walks_the_path_itself),
        cmocka_unit_test(a_store_that_went_away_is_not_made_anew),
        cmocka_unit_test(at_the_watermark_nothing_is_taken_but_given_and_deleted),
        cmocka_unit_test(on_a_disk_without_room_nothing_breaks_and_space_heals),
        cmocka_unit_test(an_open_descriptor_outlives_the_object),
        cmocka_unit_test(a_store_needs_an_absolute_path_and_a_known_scheme),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
