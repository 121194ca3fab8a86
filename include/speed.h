/* SPDX-License-Identifier: MIT */
#ifndef RINGLET_SPEED_H
#define RINGLET_SPEED_H

struct speed {
	double per_second; /* instructions, in the mode kernels run in */
	double exit_us;	   /* there and back to a port of ours */
};

/* Fill a struct speed: in a child of ours, as it die()s where no guest can be made. */
void speed_measure(void *speed);

#endif
