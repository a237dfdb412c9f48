// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What User-Mode Linux lacks of a board: a network card that is called eth0
 * and whose cable can be pulled, and a clock that is not the host's.
 *
 * On the kernel's command line:
 *   wallclock=SECONDS   what the clock says at the start, since 1970
 * By the management console (mconsole(8)):
 *   config cable=out    (or in)
 */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <net/net_namespace.h>
#include "../../../net/core/dev.h"
#include "mconsole_kern.h"

static bool clock_given;
static s64 clock_start;

static int __init read_wallclock(char *text)
{
	if (kstrtoll(text, 10, &clock_start) == 0)
		clock_given = true;
	return 1;
}
__setup("wallclock=", read_wallclock);

static int __init set_wallclock(void)
{
	struct timespec64 start = { .tv_sec = clock_start };

	return clock_given ? do_settimeofday64(&start) : 0;
}
late_initcall_sync(set_wallclock);

/* The driver calls its first card vec0. */
static int __init name_card(void)
{
	struct net_device *card;

	rtnl_lock();
	card = __dev_get_by_name(&init_net, "vec0");
	if (card)
		dev_change_name(card, "eth0");
	rtnl_unlock();
	return 0;
}
late_initcall_sync(name_card);

static int move_cable(char *to, char **error)
{
	struct net_device *card;
	int code = 0;

	rtnl_lock();
	card = __dev_get_by_name(&init_net, "eth0");
	if (!card) {
		*error = "there is no eth0 yet";
		code = -ENODEV;
	} else if (!strcmp(to, "=in")) {
		netif_carrier_on(card);
	} else if (!strcmp(to, "=out")) {
		netif_carrier_off(card);
	} else {
		*error = "cable=in or cable=out";
		code = -EINVAL;
	}
	rtnl_unlock();
	return code;
}

static struct mc_device cable = {
	.list = LIST_HEAD_INIT(cable.list),
	.name = "cable",
	.config = move_cable,
};

static int __init offer_cable(void)
{
	mconsole_register_dev(&cable);
	return 0;
}
late_initcall_sync(offer_cable);
