// SPDX-License-Identifier: MIT
/*
 * hello.c - the smallest guest: it says so and powers off.  If this runs, the
 * loader, the serial port and ACPI do.
 */
#include "lib.h"

void main(void)
{
	print("hello=world\n");
}
