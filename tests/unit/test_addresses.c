#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/addresses.h"

struct fixture {
    struct addresses *addresses;
    int listener; /* on all addresses of both kinds, as [::] is */
    struct sockaddr_in6 listens;
};

static struct fixture fixture;

static int setup(void **state)
{
    struct fixture *f = &fixture;
    socklen_t size = sizeof f->listens;
    int off = 0;
    f->listens = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
    f->listener = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(setsockopt(f->listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&f->listens, size), 0);
    assert_int_equal(listen(f->listener, 8), 0);
    assert_int_equal(getsockname(f->listener, (struct sockaddr *)&f->listens, &size), 0);
    f->addresses = addresses_create();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close(f->listener);
    addresses_destroy(f->addresses);
    return 0;
}

/* What accept() returns for a peer with that IPv4 address. */
static int accepted_from(const struct fixture *f, const char *address)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = f->listens.sin6_port};
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(inet_pton(AF_INET, address, &from.sin_addr), 1);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(peer, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&to, sizeof to), 0);
    int accepted = accept(f->listener, NULL, NULL);
    assert_true(accepted >= 0);
    close(peer);
    return accepted;
}

static void then_counts(struct fixture *f, int socket)
{
    struct address *address = addresses_enter(f->addresses, socket);
    assert_int_equal(address_n_sockets(address), 1);
    assert_ptr_equal(addresses_enter(f->addresses, socket), address);
    assert_int_equal(address_n_sockets(address), 2);
    assert_int_equal(address_n_connections(address), 0);
    address_connect(address);
    assert_int_equal(address_n_connections(address), 1);

    address_disconnect(address);
    assert_int_equal(address_n_connections(address), 0);
    addresses_leave(f->addresses, address);
    assert_int_equal(address_n_sockets(address), 1);
    addresses_leave(f->addresses, address);
    assert_int_equal(addresses_count(f->addresses), 0);
}

/* On [::] they seem to be of one prefix, ::ffff:0:0/96, all of whose rest one host would have. */
static void test_ipv4_peers_of_an_ipv6_socket_are_counted_apart(void **state)
{
    struct fixture *f = *state;
    int one = accepted_from(f, "127.0.0.1");
    int other = accepted_from(f, "127.0.0.2");

    struct address *address_of_one = addresses_enter(f->addresses, one);
    struct address *address_of_other = addresses_enter(f->addresses, other);

    assert_non_null(address_of_one);
    assert_non_null(address_of_other);
    assert_ptr_not_equal(address_of_one, address_of_other);
    addresses_leave(f->addresses, address_of_one);
    addresses_leave(f->addresses, address_of_other);
    then_counts(f, one);
    close(one);
    close(other);
}

static void test_ipv6_peer_is_counted(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in6 to = f->listens;
    int peer = socket(AF_INET6, SOCK_STREAM, 0);
    to.sin6_addr = in6addr_loopback;
    assert_int_equal(connect(peer, (struct sockaddr *)&to, sizeof to), 0);
    int accepted = accept(f->listener, NULL, NULL);

    then_counts(f, accepted);
    close(accepted);
    close(peer);
}

static void test_local_socket_is_counted(void **state)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);

    then_counts(*state, pair[0]);
    close(pair[0]);
    close(pair[1]);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_ipv4_peers_of_an_ipv6_socket_are_counted_apart),
        CASE(test_ipv6_peer_is_counted),
        CASE(test_local_socket_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
