/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For a guest: boot another kernel from this one, with the same command line. Usage:
 * boot_kernel KERNEL INITRAMFS. (Debian's kexec wants a dozen libraries.)
 */
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char cmdline[4096] = "";
	FILE *file = fopen("/proc/cmdline", "r");
	int kernel, initramfs;

	if (argc != 3 || file == NULL || fgets(cmdline, sizeof(cmdline), file) == NULL)
		return 2;
	fclose(file);
	cmdline[strcspn(cmdline, "\n")] = '\0';
	kernel = open(argv[1], O_RDONLY);
	initramfs = open(argv[2], O_RDONLY);
	if (syscall(SYS_kexec_file_load, kernel, initramfs, strlen(cmdline) + 1, cmdline, 0L) !=
		0) {
		perror("kexec_file_load");
		return 1;
	}
	reboot(LINUX_REBOOT_CMD_KEXEC);
	perror("reboot");
	return 1;
}
