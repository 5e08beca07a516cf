/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory tables that are refused, and look-ups at and around every border. */
#include "guest_mem.h"

#include "unit.h"

#include <errno.h>

static uint8_t memory[0x4000];

static int init(struct guest_mem *mem, const struct guest_region *regions, unsigned n)
{
	const char *why;

	return guest_mem_init(mem, regions, n, &why);
}

static void test_init_refuses(void **state)
{
	static const struct {
		const char *why;
		unsigned n;
		struct guest_region regions[9];
	} tables[] = {
		{"no memory regions", 0, {{0}}},
		{"more than 8 memory regions", 9,
			{{0, 1, memory}, {1, 1, memory}, {2, 1, memory}, {3, 1, memory},
				{4, 1, memory}, {5, 1, memory}, {6, 1, memory}, {7, 1, memory},
				{8, 1, memory}}},
		{"an empty memory region", 1, {{0x1000, 0, memory}}},
		{"an empty memory region", 2, {{0x1000, 1, memory}, {0x2000, 0, memory}}},
		{"an empty memory region", 1, {{0x1000, 1, NULL}}},
		{"a memory region that wraps around the address space", 1,
			{{UINT64_MAX - 9, 11, memory}}},
		{"a memory region that wraps around the address space", 1,
			{{1, UINT64_MAX, memory}}},
		{"a memory region that wraps around the address space", 1,
			{{0, 0x1000, (uint8_t *)UINTPTR_MAX - 0xffe}}},
		{"memory regions that overlap", 2,
			{{0x1000, 0x1000, memory}, {0x1fff, 0x1000, memory}}},
		{"memory regions that overlap", 2,
			{{0x1fff, 0x1000, memory}, {0x1000, 0x1000, memory}}},
		{"memory regions that overlap", 2, {{0x1000, 0x3000, memory}, {0x2000, 1, memory}}},
		{"memory regions that overlap", 2, {{0x2000, 1, memory}, {0x1000, 0x3000, memory}}},
		{"memory regions that overlap", 2, {{0x1000, 1, memory}, {0x1000, 1, memory}}},
		{"memory regions that overlap", 3,
			{{0x1000, 0x1000, memory}, {0x4000, 0x1000, memory},
				{0x1800, 0x10, memory}}},
	};

	for (unsigned i = 0; i < ARRAY_LEN(tables); i++) {
		struct guest_mem mem;
		const char *why = NULL;
		uint64_t len = 1;

		assert_int_equal(
			guest_mem_init(&mem, tables[i].regions, tables[i].n, &why), -EINVAL);
		assert_string_equal(why, tables[i].why);
		/* It has no memory then. */
		assert_null(guest_mem_translate(&mem, tables[i].regions[0].gpa, &len));
		assert_false(guest_mem_has_hva(&mem, memory, 1));
	}
}

static void test_init_takes(void **state)
{
	struct guest_region regions[8];
	struct guest_mem mem;
	const char *why = "left over";

	for (unsigned i = 0; i < 8; i++) /* neighbours, in any order */
		regions[i] = (struct guest_region){(7 - i) * 0x100, 0x100, memory + i * 0x100};
	assert_int_equal(guest_mem_init(&mem, regions, 8, &why), 0);
	assert_null(why);
	/* To the last address but one; the end of a region is a number that must not wrap. */
	regions[0] = (struct guest_region){UINT64_MAX - 0x1000, 0x1000, memory};
	assert_int_equal(init(&mem, regions, 1), 0);
}

/* Two neighbours that are apart here, a hole, one more at the top. */
static const struct guest_region map[] = {
	{0x1000, 0x1000, memory + 0x2000},
	{0x2000, 0x800, memory},
	{0x8000, 1, memory + 0x3000},
	{UINT64_MAX - 0x100, 0x100, memory + 0x3800},
};

static void test_translate(void **state)
{
	static const struct {
		uint64_t gpa, want, got;
		uint8_t *hva;
	} cases[] = {
		{0x1000, 1, 1, memory + 0x2000},
		{0x1000, 0, 0, memory + 0x2000},
		{0x1000, 0x1000, 0x1000, memory + 0x2000},
		{0x1000, 0x1001, 0x1000, memory + 0x2000},
		{0x1000, UINT64_MAX, 0x1000, memory + 0x2000},
		{0x1fff, 1, 1, memory + 0x2fff},
		{0x1fff, 2, 1, memory + 0x2fff},
		{0x0fff, 1, 0, NULL},
		{0x0fff, UINT64_MAX, 0, NULL},
		{0, 1, 0, NULL},
		{0x2000, 0x801, 0x800, memory},
		{0x27ff, 0x10, 1, memory + 0x7ff},
		{0x2800, 1, 0, NULL},
		{0x2801, 1, 0, NULL},
		{0x7fff, 2, 0, NULL},
		{0x8000, 2, 1, memory + 0x3000},
		{0x8001, 1, 0, NULL},
		{UINT64_MAX, 1, 0, NULL},
		{UINT64_MAX - 1, UINT64_MAX, 1, memory + 0x38ff},
		{UINT64_MAX - 0x100, 0x1000, 0x100, memory + 0x3800},
		{UINT64_MAX - 0x101, 1, 0, NULL},
	};
	struct guest_mem mem;

	assert_int_equal(init(&mem, map, ARRAY_LEN(map)), 0);
	/* The answer must not depend on what was looked up before. */
	for (unsigned hit = 0; hit < ARRAY_LEN(map); hit++) {
		for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
			uint64_t len = 1;

			assert_ptr_equal(
				guest_mem_translate(&mem, map[hit].gpa, &len), map[hit].hva);
			len = cases[i].want;
			assert_ptr_equal(
				guest_mem_translate(&mem, cases[i].gpa, &len), cases[i].hva);
			if (cases[i].hva != NULL)
				assert_int_equal(len, cases[i].got);
		}
	}
}

static void test_read_crosses_regions(void **state)
{
	struct guest_mem mem;
	uint8_t out[0x1800];

	for (unsigned i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(init(&mem, map, ARRAY_LEN(map)), 0);

	assert_int_equal(guest_mem_read(&mem, 0x1ff0, out, 0x20), 0);
	assert_memory_equal(out, memory + 0x2ff0, 0x10);
	assert_memory_equal(out + 0x10, memory, 0x10);
	assert_int_equal(guest_mem_read(&mem, 0x1000, out, 0x1800), 0);
	assert_memory_equal(out, memory + 0x2000, 0x1000);
	assert_memory_equal(out + 0x1000, memory, 0x800);
	assert_int_equal(guest_mem_read(&mem, 0x27ff, out, 1), 0);
	assert_int_equal(out[0], memory[0x7ff]);
	assert_int_equal(guest_mem_read(&mem, 0, out, 0), 0);

	assert_int_equal(guest_mem_read(&mem, 0x27ff, out, 2), -EFAULT);
	assert_int_equal(guest_mem_read(&mem, 0xfff, out, 2), -EFAULT);
	assert_int_equal(guest_mem_read(&mem, UINT64_MAX - 1, out, 16), -EFAULT);
	assert_int_equal(guest_mem_read(&mem, UINT64_MAX, out, 16), -EFAULT);
}

/* From the top of the address space on to its start: a wrap finds what is there, or nothing. */
static void test_read_never_wraps_into_a_region(void **state)
{
	static const struct guest_region ends[] = {
		{0, 0x1000, memory}, {UINT64_MAX - 0xfff, 0xfff, memory + 0x1000}};
	struct guest_mem mem;
	uint8_t out[16];

	assert_int_equal(init(&mem, ends, 2), 0);
	assert_int_equal(guest_mem_read(&mem, UINT64_MAX - 8, out, 8), 0);
	assert_int_equal(guest_mem_read(&mem, UINT64_MAX - 8, out, 9), -EFAULT);
	assert_int_equal(guest_mem_read(&mem, UINT64_MAX - 8, out, 16), -EFAULT);
}

static void test_has_hva(void **state)
{
	static const struct guest_region regions[] = {
		{0x1000, 0x1000, memory + 0x1000}, {0x9000, 0x800, memory + 0x2000}};
	struct guest_mem mem;

	assert_int_equal(init(&mem, regions, 2), 0);
	assert_true(guest_mem_has_hva(&mem, memory + 0x1000, 0x1000));
	assert_true(guest_mem_has_hva(&mem, memory + 0x1fff, 1));
	assert_true(guest_mem_has_hva(&mem, memory + 0x27ff, 1));
	assert_false(guest_mem_has_hva(&mem, memory + 0x1000, 0x1001)); /* one region, not two */
	assert_false(guest_mem_has_hva(&mem, memory + 0x1fff, 2));
	assert_false(guest_mem_has_hva(&mem, memory + 0xfff, 1));
	assert_false(guest_mem_has_hva(&mem, memory + 0xfff, 2));
	assert_false(guest_mem_has_hva(&mem, memory + 0x2800, 1));
	assert_false(guest_mem_has_hva(&mem, memory + 0x1001, SIZE_MAX));
	assert_false(guest_mem_has_hva(&mem, NULL, 1));
	assert_false(guest_mem_has_hva(&mem, (void *)UINTPTR_MAX, 2));
}

/* The way back: from where a byte is mapped to its guest-physical address. */
static void test_gpa(void **state)
{
	static const struct guest_region regions[] = {
		{0x1000, 0x1000, memory + 0x1000}, {0x9000, 0x800, memory + 0x2000}};
	struct guest_mem mem;
	uint64_t gpa = 7;

	assert_int_equal(init(&mem, regions, 2), 0);
	assert_false(guest_mem_gpa(&mem, memory + 0xfff, &gpa));
	assert_false(guest_mem_gpa(&mem, memory + 0x2800, &gpa));
	assert_false(guest_mem_gpa(&mem, NULL, &gpa));
	assert_int_equal(gpa, 7);
	assert_true(guest_mem_gpa(&mem, memory + 0x1000, &gpa));
	assert_int_equal(gpa, 0x1000);
	assert_true(guest_mem_gpa(&mem, memory + 0x1fff, &gpa));
	assert_int_equal(gpa, 0x1fff);
	assert_true(guest_mem_gpa(&mem, memory + 0x27ff, &gpa));
	assert_int_equal(gpa, 0x97ff);
}

/* Random regions and look-ups against the definition: which region holds this address? */
static void test_translate_random(void **state)
{
	uint64_t seed = random_seed("translate_random");

	for (unsigned turn = 0; turn < 2000; turn++) {
		struct guest_region regions[GUEST_MEM_REGIONS_MAX];
		unsigned n = 1 + (unsigned)random_below(&seed, GUEST_MEM_REGIONS_MAX);
		uint64_t gpa = random_magnitude(&seed, 60);
		struct guest_mem mem;

		for (unsigned i = 0; i < n; i++) {
			uint64_t size = 1 + random_below(&seed, 0x400);

			regions[i] = (struct guest_region){gpa, size, memory + i * 0x800};
			gpa += size + (random_once_in(&seed, 2) ? 0 : random_below(&seed, 0x20));
		}
		for (unsigned i = 0; i < n; i++) { /* in any order */
			unsigned j = (unsigned)random_below(&seed, n);
			struct guest_region r = regions[i];

			regions[i] = regions[j];
			regions[j] = r;
		}
		assert_int_equal(init(&mem, regions, n), 0);
		for (unsigned i = 0; i < 100; i++) {
			const struct guest_region *r = &regions[random_below(&seed, n)];
			uint64_t at = r->gpa + random_below(&seed, r->size + 0x20) - 0x10;
			uint64_t want = random_below(&seed, 0x500), len = want;
			const uint8_t *hva = guest_mem_translate(&mem, at, &len), *expected = NULL;
			uint64_t left = 0;

			for (unsigned j = 0; j < n; j++) {
				if (at >= regions[j].gpa && at < regions[j].gpa + regions[j].size) {
					expected = regions[j].hva + (at - regions[j].gpa);
					left = regions[j].gpa + regions[j].size - at;
				}
			}
			assert_ptr_equal(hva, expected);
			if (hva != NULL)
				assert_int_equal(len, want < left ? want : left);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_refuses),
		cmocka_unit_test(test_init_takes),
		cmocka_unit_test(test_translate),
		cmocka_unit_test(test_read_crosses_regions),
		cmocka_unit_test(test_read_never_wraps_into_a_region),
		cmocka_unit_test(test_has_hva),
		cmocka_unit_test(test_gpa),
		cmocka_unit_test(test_translate_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
