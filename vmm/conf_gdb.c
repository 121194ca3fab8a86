// SPDX-License-Identifier: MIT
/*
 * conf_gdb.c - where gdb is to connect: "tcp:[ADDRESS:]PORT" or "unix:PATH".
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "conf_internal.h"
#include "log.h"

#define PORT_MAX 65535

/* Nobody from elsewhere, unless somebody writes an address. */
static void parse_tcp(const char *where, const char *value, struct conf_gdb *g)
{
	const char *colon = strrchr(value, ':'), *port = colon ? colon + 1 : value;
	char ip[INET_ADDRSTRLEN];
	size_t len = colon ? (size_t)(colon - value) : 0;

	g->address = htonl(INADDR_LOOPBACK);
	if (len && (len != strlen("localhost") || memcmp(value, "localhost", len))) {
		memcpy(ip, value, MIN(len, sizeof(ip) - 1));
		ip[MIN(len, sizeof(ip) - 1)] = '\0';
		if (len >= sizeof(ip) || inet_pton(AF_INET, ip, &g->address) != 1)
			die_args("%stcp:%s: '%.*s' is not an IPv4 address; write it like tcp:127.0.0.1:1234", where,
				 value, (int)len, value);
	}
	if (!*port || port[strspn(port, "0123456789")] || strtoul(port, NULL, 10) > PORT_MAX)
		die_args("%stcp:%s: '%s' is not a port, 0 to %u; write it like tcp:1234", where, value, port, PORT_MAX);
	g->port = (u16)strtoul(port, NULL, 10);
}

void conf_gdb_parse(const char *where, const char *value, struct conf_gdb *g)
{
	free((char *)g->path);
	g->path = NULL;
	g->on = true;
	if (!strncmp(value, "tcp:", 4)) {
		parse_tcp(where, value + 4, g);
		return;
	}
	if (strncmp(value, "unix:", 5) || !value[5])
		die_args("%s%s: not tcp:[ADDRESS:]PORT or unix:PATH, like tcp:1234", where, value);
	g->path = conf_copy(value + 5);
}
