// SPDX-License-Identifier: MIT
/*
 * kvm_stats.c - what KVM itself counts (KVM_GET_STATS_FD): a file that
 * describes its own content, so names are the running kernel's and none is
 * known here.  The layout is in the kernel's Documentation/virt/kvm/api.rst.
 */
#include "kvm_stats.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* More than any kernel has; who says more is not KVM. */
#define MAX_STATS 4096
#define MAX_NAME 256
#define MAX_VALUES 1024

struct kvm_stats {
	int fd;
	struct kvm_stats_header head;
	size_t desc_size;
	u8 *desc; /* head.num_desc of them, then a zero */
	u64 values[MAX_VALUES];
};

static const struct kvm_stats_desc *desc_of(const struct kvm_stats *s, unsigned i)
{
	return (const struct kvm_stats_desc *)(s->desc + i * s->desc_size);
}

static bool read_at(int fd, void *to, size_t size, off_t at)
{
	return pread(fd, to, size, at) == (ssize_t)size;
}

static bool read_descriptions(struct kvm_stats *s)
{
	const struct kvm_stats_header *h = &s->head;
	size_t size;

	if (!read_at(s->fd, &s->head, sizeof(s->head), 0) || h->num_desc > MAX_STATS || !h->name_size ||
	    h->name_size > MAX_NAME || h->name_size % sizeof(u64))
		return false;
	s->desc_size = sizeof(struct kvm_stats_desc) + h->name_size;
	size = h->num_desc * s->desc_size;
	s->desc = calloc(1, size + 1);
	if (!s->desc || !read_at(s->fd, s->desc, size, h->desc_offset))
		return false;
	for (unsigned i = 0; i < h->num_desc; i++) {
		u8 *name = s->desc + i * s->desc_size + sizeof(struct kvm_stats_desc);

		name[h->name_size - 1] = '\0';
		if (desc_of(s, i)->size > MAX_VALUES)
			return false;
	}
	return true;
}

struct kvm_stats *kvm_stats_adopt(int fd)
{
	struct kvm_stats *s = calloc(1, sizeof(*s));

	if (s) {
		s->fd = fd;
		if (read_descriptions(s))
			return s;
		free(s->desc);
		free(s);
	}
	close(fd);
	return NULL;
}

struct kvm_stats *kvm_stats_open(int kvm)
{
	int fd = ioctl(kvm, KVM_GET_STATS_FD, NULL);

	return fd < 0 ? NULL : kvm_stats_adopt(fd);
}

void kvm_stats_free(struct kvm_stats *s)
{
	if (!s)
		return;
	close(s->fd);
	free(s->desc);
	free(s);
}

const char *kvm_stats_read(struct kvm_stats *s, unsigned i, const u64 **values, unsigned *n)
{
	const struct kvm_stats_desc *d;

	if (i >= s->head.num_desc)
		return NULL;
	d = desc_of(s, i);
	*n = d->size;
	*values = s->values;
	/* A statistic that cannot be read has no values, and is not a zero. */
	if (!read_at(s->fd, s->values, d->size * sizeof(u64), (off_t)s->head.data_offset + d->offset))
		*n = 0;
	return d->name;
}
