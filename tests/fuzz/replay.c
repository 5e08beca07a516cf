/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzz target over files, without libFuzzer: what once was found stays mended. The files of
 * a directory are one TAP case, and so is each file that the command line names.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static char **files;
static size_t n_files, n_room;
static FILE *tap;

static void die(const char *path)
{
	fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
	exit(1);
}

static void add_file(const char *path)
{
	if (n_files == n_room) {
		n_room = 2 * n_room + 64;
		files = realloc(files, n_room * sizeof(files[0]));
		if (files == NULL)
			die(path);
	}
	files[n_files] = strdup(path);
	if (files[n_files++] == NULL)
		die(path);
}

static void add(const char *path)
{
	char child[PATH_MAX];
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	if (stat(path, &st) != 0)
		die(path);
	if (!S_ISDIR(st.st_mode)) {
		add_file(path);
		return;
	}
	dir = opendir(path);
	if (dir == NULL)
		die(path);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(child, sizeof(child), "%.2000s/%.255s", path, entry->d_name);
		add(child);
	}
	closedir(dir);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void run(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	struct stat st;
	size_t size;

	if (file == NULL || fstat(fileno(file), &st) != 0)
		die(path);
	size = (size_t)st.st_size;
	/* Of exactly its size, so that a sanitizer sees a read beyond it. */
	data = malloc(size + (size == 0));
	if (data == NULL || fread(data, 1, size, file) != size)
		die(path);
	fclose(file);
	/* If it ends the process, this was the one. */
	fprintf(tap, "# %s\n", path);
	fflush(tap);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

static void run_all(int number, const char *path)
{
	n_files = 0;
	add(path);
	qsort(files, n_files, sizeof(files[0]), by_name);
	for (size_t i = 0; i < n_files; i++) {
		run(files[i]);
		free(files[i]);
	}
	fprintf(tap, "%sok %d - %zu inputs\n", n_files == 0 ? "not " : "", number, n_files);
	fflush(tap);
}

int main(int argc, char **argv)
{
	/* Targets may do what they like to standard output. */
	tap = fdopen(dup(STDOUT_FILENO), "w");
	if (tap == NULL)
		die("standard output");
	fprintf(tap, "1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++)
		run_all(i, argv[i]);
	free(files);
	fclose(tap);
	return 0;
}
