"""Each rule of the checker is seen to fail, on journals that are wrong in one way; and excuses are narrow."""

from __future__ import annotations

import pytest

from chaos import journal
from chaos.journal import Fault, Look
from chaos.verdict import RULES

from .story import Story, changed, delivered, heard, insert_after, replied, signed, without


def test_a_right_run_is_right() -> None:
    verdict = Story().check()

    assert verdict.is_good
    assert verdict.checked["deliveries"] == 7
    assert not verdict.excused


# -- lost


def test_a_message_that_a_since_device_never_got_is_lost() -> None:
    story = Story()
    story.bob = without(story.bob, "0:3", 4)

    assert story.broken() == {"lost"}


def test_the_first_message_is_no_exception() -> None:
    story = Story()
    story.bob = without(story.bob, "0:1", 2)

    assert story.broken() == {"lost"}


def test_a_hole_in_an_old_clients_session_is_a_loss() -> None:
    story = Story()
    story.old = without(story.old, "0:2", 3)

    assert story.broken() == {"lost"}


def test_an_old_client_gets_what_nobody_has_confirmed() -> None:
    story = Story()
    story.old = [event for event in story.old if not isinstance(event, journal.Ponged)]

    assert story.broken() == {"lost"}  # 0:1 and 0:2 were due again in session 5


def test_what_was_not_answered_sended_may_be_lost() -> None:
    story = Story()
    story.ann = changed(story.ann, replied(20.1, 1, "0:3"), status=0, code="unavailable", id=None)
    story.bob = without(story.bob, "0:3", 4)
    story.faults = [Fault("redis-stop", "redis", 19, 19, 22, 22)]

    assert story.broken() == set()


# -- twice, order


def test_a_since_device_gets_nothing_twice_even_on_another_connection() -> None:
    story = Story()
    story.bob = insert_after(story.bob, signed(25, 4, "bob", "1000-1")[-1], delivered(25.1, 4, "0:2"))

    assert story.broken() == {"twice"}


def test_an_old_client_gets_nothing_twice_on_one_connection() -> None:
    story = Story()
    story.old = insert_after(story.old, delivered(10.2, 3, "0:2"), delivered(10.3, 3, "0:2"))

    assert story.broken() == {"twice"}


def test_an_old_client_may_get_something_again_on_another_connection() -> None:
    story = Story()
    story.old = insert_after(
        story.old, signed(31, 5, "bob", None)[-1], delivered(31.1, 5, "0:1"), delivered(31.1, 5, "0:2")
    )

    assert story.broken() == set()


def test_two_messages_in_the_wrong_order() -> None:
    story = Story()
    first, second = delivered(10.2, 3, "0:1"), delivered(10.2, 3, "0:2")
    at = story.old.index(first)
    story.old[at : at + 2] = [second, first]

    assert story.broken() == {"order"}


def test_an_id_that_names_another_message_on_another_device() -> None:
    story = Story()
    story.old = changed(story.old, delivered(10.2, 3, "0:1"), id="1000-1")
    story.old = changed(story.old, delivered(10.2, 3, "0:2"), id="1000-0")

    assert "order" in story.broken()


def test_a_time_that_is_another_one_on_another_device() -> None:
    story = Story()
    story.old = changed(story.old, delivered(10.2, 3, "0:1"), time=999)

    assert story.broken() == {"order"}


@pytest.mark.parametrize("identity", [None, "", "1000", "01-0", "1000-0 "])
def test_a_delivery_without_a_right_id(identity: str | None) -> None:
    story = Story()
    story.old = changed(story.old, delivered(31.2, 5, "0:3"), id=identity)

    assert story.broken() == {"order"}


def test_what_a_connection_sent_later_is_stored_later() -> None:
    story = Story()
    story.ann = changed(story.ann, replied(20.1, 1, "0:3"), id="999-0")
    story.bob = changed(story.bob, delivered(25.2, 4, "0:3"), id="999-0", time=999)

    assert "order" in story.broken()


# -- from, body, stranger


def test_a_wrong_from() -> None:
    story = Story()
    story.bob = changed(story.bob, delivered(10.2, 2, "0:1"), sender="eve")

    assert story.broken() == {"from"}


def test_a_wrong_body() -> None:
    story = Story()
    story.bob = changed(story.bob, delivered(10.2, 2, "0:1"), crc=7)

    assert story.broken() == {"body"}


def test_somebody_elses_message() -> None:
    story = Story()
    story.ann = insert_after(story.ann, replied(10.1, 1, "0:2"), delivered(10.2, 1, "0:1"))

    assert story.broken() == {"stranger"}


def test_a_message_that_nobody_sent() -> None:
    story = Story()
    story.bob = insert_after(story.bob, delivered(10.2, 2, "0:2"), delivered(10.3, 2, "7:7", id="1000-2"))

    assert story.broken() == {"stranger"}


def test_a_delivery_before_the_sign_is_answered() -> None:
    story = Story()
    sign = signed(25, 4, "bob", "1000-1")
    story.bob = without(story.bob, "0:3", 4)
    story.bob = insert_after(story.bob, sign[1], delivered(25.05, 4, "0:3"))

    assert story.broken() == {"stranger", "lost"}


# -- stored-twice, reply


def test_a_retry_that_is_stored_again() -> None:
    story = Story()
    story.ann = insert_after(
        story.ann,
        replied(20.1, 1, "0:3"),
        journal.Sent(21, 1, "0:3", "bob"),
        replied(21.1, 1, "0:3", id="2100-0"),
    )

    assert story.broken() == {"stored-twice", "lost"}


def test_a_message_that_is_delivered_under_two_ids() -> None:
    story = Story()
    story.bob = insert_after(story.bob, delivered(25.2, 4, "0:3"), delivered(25.3, 4, "0:3", id="2100-0"))

    assert story.broken() == {"stored-twice"}


def test_a_retry_is_answered_with_dup() -> None:
    story = Story()
    story.ann = insert_after(
        story.ann,
        replied(20.1, 1, "0:3"),
        journal.Sent(21, 1, "0:3", "bob"),
        replied(21.1, 1, "0:3", dup=True),
    )

    assert story.broken() == set()


def test_dup_for_a_first_message() -> None:
    story = Story()
    story.ann = changed(story.ann, replied(20.1, 1, "0:3"), dup=True)

    assert story.broken() == {"reply"}


def test_replies_in_the_wrong_order() -> None:
    story = Story()
    at = story.ann.index(replied(10.1, 1, "0:1"))
    story.ann[at], story.ann[at + 1] = story.ann[at + 1], story.ann[at]

    assert "reply" in story.broken()


def test_a_reply_too_many() -> None:
    story = Story()
    story.ann = insert_after(story.ann, replied(20.1, 1, "0:3"), replied(20.2, 1, "0:3"))

    assert story.broken() == {"reply"}


def test_a_reply_with_another_id_than_the_delivery() -> None:
    story = Story()
    story.ann = changed(story.ann, replied(20.1, 1, "0:3"), id="2000-1")

    assert story.broken() == {"stored-twice", "lost"}


def test_a_frame_that_is_nothing() -> None:
    story = Story()
    story.bob = insert_after(story.bob, delivered(10.2, 2, "0:2"), journal.Odd(10.3, 2, "b'?'"))

    assert story.broken() == {"reply"}


def test_a_reply_before_ones_own_delivery() -> None:
    story = Story()
    identity = {"id": "5000-0"}
    sent: list[journal.Event] = [journal.Sent(40, 1, "0:4", "ann"), replied(40.1, 1, "0:4", **identity)]
    got = delivered(40.2, 1, "0:4", **identity)
    story.ann = insert_after(story.ann, replied(20.1, 1, "0:3"), *sent, got)

    assert story.broken() == {"reply"}


# -- cut-off, late, recovered


@pytest.mark.parametrize("kind", ["link-cut", "link-refuse", "redis-kill", "redis-stop"])
def test_sended_from_a_node_that_is_cut_off(kind: str) -> None:
    story = Story()
    target = "redis" if kind.startswith("redis") else "link 0"
    story.faults = [Fault(kind, target, 19, 19.5, 21, 22, "always")]

    assert story.broken() == {"cut-off"}


def test_sended_before_the_cut_was_complete_or_on_another_node() -> None:
    story = Story()
    story.faults = [
        Fault("link-cut", "link 0", 19, 20.05, 21, 22),
        Fault("link-cut", "link 1", 19, 19.5, 21, 22),
    ]

    assert story.broken() == set()


def test_a_late_reply() -> None:
    story = Story()
    story.ann = changed(story.ann, replied(20.1, 1, "0:3"), at=33.0)

    assert story.broken() == {"late"}


def test_no_reply() -> None:
    story = Story()
    story.ann = [event for event in story.ann if event != replied(20.1, 1, "0:3")]

    assert story.broken() == {"late"}


def test_a_frozen_node_and_a_frozen_client_may_be_late() -> None:
    frozen_node, frozen_client = Story(), Story()
    frozen_node.faults = [Fault("node-stop", "node 0", 19, 19, 32, 32)]
    for story in (frozen_node, frozen_client):
        story.ann = changed(story.ann, replied(20.1, 1, "0:3"), at=33.0)
    frozen_client.ann = insert_after(
        frozen_client.ann,
        journal.Sent(20, 1, "0:3", "bob"),
        journal.Paused(20.05, 1),
        journal.Resumed(32.9, 1),
    )

    assert frozen_node.broken() == set()
    assert frozen_client.broken() == set()


def test_unavailable_long_after_the_trouble() -> None:
    story = Story()
    story.ann = changed(story.ann, replied(20.1, 1, "0:3"), status=0, code="unavailable", id=None)
    story.faults = [Fault("redis-kill", "redis", 5, 5, 6, 6.5, "always")]

    assert story.broken() == {"recovered"}


# -- gap


def test_gap_when_nothing_is_missing() -> None:
    story = Story()
    story.bob = changed(story.bob, replied(25.1, 4, "s4"), gap=True)

    assert story.broken() == {"gap"}


def test_gap_after_a_flush_between_two_signs() -> None:
    story = Story()
    story.bob = changed(story.bob, replied(25.1, 4, "s4"), gap=True)
    story.faults = [Fault("flushall", "redis", 16, 16, 16.1, 16.1)]

    assert story.broken() == set()


def test_gap_after_a_flush_while_the_reply_before_it_was_on_the_way() -> None:
    story = Story()
    story.bob = changed(story.bob, replied(25.1, 4, "s4"), gap=True)
    story.faults = [Fault("flushall", "redis", 0.02, 0.02, 0.05, 0.05)]

    assert story.broken() == set()


# -- what faults may cost


def test_a_flush_excuses_what_was_not_delivered_yet() -> None:
    story = Story()
    story.bob = without(story.bob, "0:3", 4)
    story.old = without(story.old, "0:3", 5)
    story.faults = [Fault("flushall", "redis", 22, 22, 22.1, 22.1)]
    verdict = story.check()

    assert verdict.is_good
    assert verdict.excused == {"not delivered yet when Redis forgot it": 1}


@pytest.mark.parametrize(("began", "done"), [(5, 9), (5, 19.9)])
def test_a_flush_does_not_excuse_what_was_sent_after_it(began: float, done: float) -> None:
    story = Story()
    story.bob = without(story.bob, "0:3", 4)
    story.faults = [Fault("flushall", "redis", began, began, done, done)]

    assert story.broken() == {"lost"}


def test_a_flush_does_not_excuse_what_was_skipped_before_it() -> None:
    story = Story()
    story.bob = without(story.bob, "0:1", 2)
    story.faults = [Fault("flushall", "redis", 12, 12, 12.1, 12.1)]

    assert story.broken() == {"lost"}


def test_a_deleted_inbox_excuses_its_own_uid_only() -> None:
    story, other = Story(), Story()
    for one in (story, other):
        one.bob = without(one.bob, "0:3", 4)
    story.faults = [Fault("del", "chat_inbox:{chat_map_uid_fd:bob}", 22, 22, 22.1, 22.1, "bob")]
    other.faults = [Fault("del", "chat_inbox:{chat_map_uid_fd:ann}", 22, 22, 22.1, 22.1, "ann")]

    assert story.broken() == set()
    assert other.broken() == {"lost"}


@pytest.mark.parametrize("kind", ["node-kill", "link-cut", "script-flush"])
def test_other_faults_excuse_no_loss(kind: str) -> None:
    story = Story()
    story.bob = without(story.bob, "0:3", 4)
    target = {"node-kill": "node 0", "link-cut": "link 0"}.get(kind, "redis")
    story.faults = [Fault(kind, target, 22, 22, 23, 23, "always")]

    assert story.broken() == {"lost"}


@pytest.mark.parametrize(
    ("appendfsync", "rules"), [("always", {"lost"}), ("everysec", set()), ("none", set())]
)
def test_a_killed_redis_may_lose_what_it_had_not_written(appendfsync: str, rules: set[str]) -> None:
    story = Story()
    story.bob = without(story.bob, "0:3", 4)
    story.faults = [Fault("redis-kill", "redis", 21, 21, 22, 23, appendfsync)]

    assert story.broken() == rules


def test_everysec_does_not_excuse_what_is_older() -> None:
    story = Story()
    story.bob = without(story.bob, "0:3", 4)
    story.faults = [Fault("redis-kill", "redis", 23, 23, 24, 24, "everysec")]

    assert story.broken() == {"lost"}


def test_a_flush_between_two_tries_excuses_storing_again() -> None:
    story = Story()
    again = delivered(25.3, 4, "0:3", id="2500-0")
    story.ann = changed(story.ann, replied(20.1, 1, "0:3"), status=0, code="unavailable", id=None)
    story.ann = insert_after(
        story.ann,
        replied(20.1, 1, "0:3", status=0, code="unavailable", id=None),
        journal.Sent(24, 1, "0:3", "bob"),
        replied(24.1, 1, "0:3", id="2500-0"),
    )
    story.bob = insert_after(story.bob, delivered(25.2, 4, "0:3"), again)
    story.old = [*story.old[:-1], delivered(31.3, 5, "0:3", id="2500-0"), story.old[-1]]
    story.faults = [
        Fault("redis-stop", "redis", 19, 19, 20.5, 20.5),
        Fault("flushall", "redis", 22, 22, 22.1, 22.1),
    ]

    assert story.broken() == set()


# -- broadcasts


def broadcast_story() -> Story:
    """ann broadcasts at 40, and all hear it."""
    story = Story()
    story.ann = insert_after(
        story.ann,
        replied(20.1, 1, "0:3"),
        journal.Casting(40, 1, "0:b1"),
        heard(40.1, 1, "0:b1"),
        replied(40.1, 1, "0:b1"),
    )
    story.bob = insert_after(story.bob, delivered(25.2, 4, "0:3"), heard(40.1, 4, "0:b1"))
    story.old = insert_after(story.old, delivered(31.2, 5, "0:3"), heard(40.1, 5, "0:b1"))
    return story


def test_a_right_broadcast_is_right() -> None:
    assert broadcast_story().broken() == set()


def test_a_broadcast_that_a_device_did_not_hear() -> None:
    story = broadcast_story()
    story.bob.remove(heard(40.1, 4, "0:b1"))

    assert story.broken() == {"broadcast"}


def test_a_broadcast_that_a_device_did_not_hear_before_it_closed_soon() -> None:
    story = broadcast_story()
    story.bob.remove(heard(40.1, 4, "0:b1"))
    story.bob[-1] = journal.Closed(45, 4, "we reset it")

    assert story.broken() == set()


def test_a_broadcast_that_redis_forgot() -> None:
    story = broadcast_story()
    story.bob.remove(heard(40.1, 4, "0:b1"))
    story.faults = [Fault("del", "chat_broadcast", 40.05, 40.05, 40.06, 40.06, "ann")]

    assert story.broken() == set()


def test_a_broadcast_twice() -> None:
    story = broadcast_story()
    story.bob = insert_after(story.bob, heard(40.1, 4, "0:b1"), heard(40.2, 4, "0:b1"))

    assert story.broken() == {"broadcast"}


def test_a_broadcast_of_nobody() -> None:
    story = broadcast_story()
    story.bob = insert_after(story.bob, heard(40.1, 4, "0:b1"), heard(40.2, 4, "7:b7"))

    assert story.broken() == {"broadcast"}


def test_two_broadcasts_in_the_wrong_order() -> None:
    story = broadcast_story()
    story.ann = insert_after(
        story.ann,
        journal.Casting(40, 1, "0:b1"),
        journal.Casting(40.01, 1, "0:b2"),
    )
    story.ann = insert_after(story.ann, heard(40.1, 1, "0:b1"), heard(40.1, 1, "0:b2"))
    story.ann = insert_after(story.ann, replied(40.1, 1, "0:b1"), replied(40.1, 1, "0:b2"))
    story.bob = insert_after(story.bob, heard(40.1, 4, "0:b1"), heard(40.2, 4, "0:b2"))
    at = story.old.index(heard(40.1, 5, "0:b1"))
    story.old.insert(at, heard(40.1, 5, "0:b2"))

    assert story.broken() == {"broadcast"}


@pytest.mark.parametrize(
    ("answered", "node", "broken"),
    [(24.9, 0, {"kept"}), (24.9, 1, set()), (22.9, 1, {"kept"}), (25.1, 0, set())],
)
def test_a_broadcast_for_who_signed_after_it(answered: float, node: int, broken: set[str]) -> None:
    """Bob asks to sign at 25."""
    story = Story()
    story.ann = insert_after(
        story.ann,
        replied(20.1, 1, "0:3"),
        journal.Casting(22.5, 1, "0:b1"),
        heard(22.6, 1, "0:b1"),
        replied(answered, 1, "0:b1"),
    )
    story.old = insert_after(story.old, delivered(20.2, 3, "0:3"), heard(22.6, 3, "0:b1"))
    story.bob = insert_after(story.bob, delivered(25.2, 4, "0:3"), heard(25.3, 4, "0:b1"))
    story.bob = changed(story.bob, journal.Opened(25, 4, 0), node=node)

    assert story.broken() == broken


def test_a_broadcast_with_a_wrong_from() -> None:
    story = broadcast_story()
    story.bob = changed(story.bob, heard(40.1, 4, "0:b1"), sender="eve")

    assert story.broken() == {"from"}


# -- what the run itself saw


@pytest.mark.parametrize("rule", ["traces", "alive", "return"])
def test_what_the_run_saw_counts(rule: str) -> None:
    story = Story()
    story.looks = [Look(50, rule, "something")]

    assert story.broken() == {rule}


def test_every_rule_is_in_a_test() -> None:
    with open(__file__, encoding="utf-8") as this:
        text = this.read()

    assert [rule for rule in RULES if f'"{rule}"' not in text] == []
