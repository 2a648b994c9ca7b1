/* Control groups as files below a made-up root. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/test.h"

#include "common/file.h"
#include "common/machine.h"
#include "common/memory.h"

static char root[] = "/tmp/sinter-test-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/sinter-test-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    assert_ok(file_remove_tree(root));
    return 0;
}

static void put(const char *name, const char *text)
{
    AUTO(free_pointer) char *path = xasprintf("%s%s", root, name);
    AUTO(free_pointer) char *directory = xstrdup(path);

    *strrchr(directory, '/') = '\0';
    assert_ok(file_make_directories(directory));
    assert_ok(file_write(path, text, strlen(text)));
}

static void test_without_groups_the_hardware_counts(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\n");
    assert_int_equal(machine_memory(root), 2048 * 1024);
    assert_true(machine_cpus(root) >= 1);
}

static void test_nothing_known_is_one_core_and_no_memory(void **state)
{
    (void)state;
    assert_int_equal(machine_memory(root), 0);
    assert_true(machine_cpus(root) >= 1);
}

static void test_the_least_of_all_groups_above_counts(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal: 8000000 kB\n");
    put("/proc/self/cgroup", "0::/outer/inner\n");
    put("/sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/outer/cpu.max", "50000 100000\n");
    put("/sys/fs/cgroup/outer/inner/memory.max", "2000000\n");
    put("/sys/fs/cgroup/outer/memory.max", "1000000\n");
    assert_int_equal(machine_cpus(root), 1);
    assert_int_equal(machine_memory(root), 1000000);
}

static void test_a_container_finds_its_group_at_the_root(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal: 8000000 kB\n");
    put("/proc/self/cgroup", "0::/not/visible/here\n");
    put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    put("/sys/fs/cgroup/memory.max", "max\n");
    assert_int_equal(machine_cpus(root), 1);
    assert_int_equal(machine_memory(root), INT64_C(8000000) * 1024);
}

static void test_old_groups_are_read_as_well(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal: 8000000 kB\n");
    put("/proc/self/cgroup",
        "5:memory:/box\n4:cpu,cpuacct:/box\n1:name=systemd:/x\n");
    put("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "4096000\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(machine_cpus(root), 1);
    assert_int_equal(machine_memory(root), 4096000);
}

static void test_kills_for_memory_are_counted_in_the_own_group(void **state)
{
    (void)state;
    assert_int_equal(machine_oom_kills(root), -1);
    put("/proc/vmstat", "nr_free 7\noom_kill 12\n");
    assert_int_equal(machine_oom_kills(root), 12);
    put("/sys/fs/cgroup/memory/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    assert_int_equal(machine_oom_kills(root), 3);
    put("/proc/self/cgroup", "4:memory:/a\n0::/pod\n");
    put("/sys/fs/cgroup/memory/a/memory.oom_control", "oom_kill 2\n");
    assert_int_equal(machine_oom_kills(root), 2);
    put("/sys/fs/cgroup/pod/memory.events", "oom 5\noom_kill 1\n");
    assert_int_equal(machine_oom_kills(root), 1);
}

int main(void)
{
#define ROOT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROOT_TEST(test_without_groups_the_hardware_counts),
        ROOT_TEST(test_nothing_known_is_one_core_and_no_memory),
        ROOT_TEST(test_the_least_of_all_groups_above_counts),
        ROOT_TEST(test_a_container_finds_its_group_at_the_root),
        ROOT_TEST(test_old_groups_are_read_as_well),
        ROOT_TEST(test_kills_for_memory_are_counted_in_the_own_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
