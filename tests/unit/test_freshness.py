"""What the header fields of an answer say about time, whatever clocks and servers do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pushgate.answers import Quota
from pushgate.freshness import (
    CLOCKS_AGREE,
    MAX_SECONDS,
    date_of,
    fresh_for,
    modified_at,
    quota,
    renewable_for,
    retry_after,
    telling_fields,
)

NOON = "Mon, 05 Jan 2026 12:00:00 GMT"
A_MINUTE_LATER = "Mon, 05 Jan 2026 12:01:00 GMT"
AT = 1_767_614_400.0  # noon


class TestDates:
    @pytest.mark.parametrize("text", [NOON, "Monday, 05-Jan-26 12:00:00 GMT", "Mon Jan  5 12:00:00 2026"])
    def test_all_three_forms_are_read(self, text: str) -> None:
        """RFC 9110 section 5.6.7; the oldest has no zone and means UTC, wherever this runs."""
        assert date_of(text) == AT

    @pytest.mark.parametrize("text", ["", "0", "-1", "soon", " ", "Mon, 99 Jan 2026 12:00:00 GMT", "Jan Jan Jan"])
    def test_what_is_no_date_is_none(self, text: str) -> None:
        assert date_of(text) is None


class TestFreshness:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({}, None),
            ({"cache-control": "public"}, None),
            ({"cache-control": "max-age=60"}, 60.0),
            ({"cache-control": 'Max-Age = "60"'}, 60.0),
            ({"cache-control": "max-age=60, s-maxage=10"}, 10.0),
            ({"cache-control": "max-age=60", "age": "20"}, 40.0),
            ({"cache-control": "max-age=60", "age": "20, 50"}, 40.0),
            ({"cache-control": "max-age=60", "age": "600"}, 0.0),
            ({"cache-control": "max-age=60", "expires": "0"}, 60.0),
            ({"cache-control": "no-store, max-age=60"}, 0.0),
            ({"cache-control": "no-cache"}, 0.0),
            ({"cache-control": 'no-cache="Set-Cookie", max-age=60'}, 60.0),
            ({"cache-control": "must-revalidate, max-age=0"}, 0.0),
            ({"cache-control": "max-age=soon"}, 0.0),
            ({"cache-control": "max-age=60, max-age=5"}, 60.0),
            ({"cache-control": "max-age=" + "9" * 5000}, MAX_SECONDS),
            ({"expires": A_MINUTE_LATER, "date": NOON}, 60.0),
            ({"expires": A_MINUTE_LATER, "date": NOON, "age": "15"}, 45.0),
            ({"expires": NOON, "date": A_MINUTE_LATER}, 0.0),
            ({"expires": "0", "date": NOON}, 0.0),
            ({"expires": A_MINUTE_LATER}, 60.0),
            ({"expires": A_MINUTE_LATER, "date": "broken"}, 60.0),
        ],
    )
    def test_an_answer_is_good_for_as_long_as_it_says(self, fields: dict[str, str], expected: float | None) -> None:
        """RFC 9111 section 4.2: s-maxage, max-age, Expires less Date; less Age; what cannot be read is stale."""
        assert fresh_for(fields, AT) == expected

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"cache-control": "max-age=60", "age": "20"}, 60.0),
            ({"cache-control": "max-age=60, s-maxage=10"}, 10.0),
            ({"cache-control": "no-store, max-age=60"}, 0.0),
            ({"expires": A_MINUTE_LATER, "date": NOON}, None),
        ],
    )
    def test_a_duration_begins_anew_and_a_date_does_not(self, fields: dict[str, str], expected: float | None) -> None:
        """A 304 that says nothing renews ``max-age``; an ``Expires`` of long ago is over."""
        assert renewable_for(fields) == expected

    def test_a_clock_that_is_wrong_by_hours_does_not_matter(self) -> None:
        """Expires is measured by the upstream's own Date, not by our clock."""
        fields = {"expires": A_MINUTE_LATER, "date": NOON}
        assert fresh_for(fields, AT + 7200) == fresh_for(fields, AT - 7200) == 60.0


class TestModification:
    def test_it_is_told_by_our_clock(self) -> None:
        """An upstream whose clock is an hour behind says that it changed a minute before its own now."""
        fields = {"last-modified": NOON, "date": A_MINUTE_LATER}
        assert modified_at(fields, AT + 60) == AT
        assert modified_at(fields, AT + 3660) == AT + 3600

    def test_clocks_that_agree_are_not_corrected(self) -> None:
        """Dates are whole seconds; correcting by less would make one document change at a new time with every poll."""
        fields = {"last-modified": NOON, "date": A_MINUTE_LATER}
        assert {modified_at(fields, AT + 60 + part) for part in (0, 0.4, 0.9, CLOCKS_AGREE)} == {AT}

    def test_what_a_cache_says_is_as_old_as_the_cache_says(self) -> None:
        """Date is when the origin spoke; with Age it tells what time it is there now."""
        fields = {"last-modified": NOON, "date": A_MINUTE_LATER, "age": "100"}
        assert modified_at(fields, AT + 160) == AT

    @pytest.mark.parametrize(
        "fields",
        [{}, {"last-modified": "yesterday", "date": NOON}, {"last-modified": A_MINUTE_LATER, "date": NOON}],
    )
    def test_what_is_useless_was_not_said(self, fields: dict[str, str]) -> None:
        """Neither a date that is none, nor a change that is yet to come."""
        assert modified_at(fields, AT) is None

    def test_it_is_never_later_than_now(self) -> None:
        """A Last-Modified that is always now says nothing, and does no harm."""
        assert modified_at({"last-modified": A_MINUTE_LATER, "date": A_MINUTE_LATER}, AT + 59.0) == AT + 59.0


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({}, None),
            ({"retry-after": "120"}, 120.0),
            ({"retry-after": " 1.5 "}, 1.5),
            ({"retry-after": A_MINUTE_LATER, "date": NOON}, 60.0),
            ({"retry-after": NOON, "date": A_MINUTE_LATER}, 0.0),
            ({"retry-after": "later"}, None),
            ({"retry-after": "-5"}, None),
        ],
    )
    def test_both_forms_are_read(self, fields: dict[str, str], expected: float | None) -> None:
        """RFC 9110 section 10.2.3; a date is relative to the upstream's own clock, whatever ours says."""
        assert retry_after(fields, AT + 86_400) == expected


class TestQuota:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"ratelimit": '"default";r=50;t=30'}, Quota(50, 30.0)),
            ({"ratelimit": '"burst";r=9;t=1, "daily, all";r=3;t=3600'}, Quota(3, 3600.0)),
            ({"ratelimit": '"a";r=0;t=1, "b";r=0;t=60'}, Quota(0, 60.0)),
            ({"ratelimit": '"default";r=50'}, Quota(50, None)),
            ({"ratelimit": "limit=100, remaining=50, reset=5"}, Quota(50, 5.0)),
            ({"ratelimit-remaining": "7", "ratelimit-reset": "30"}, Quota(7, 30.0)),
            ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": f"{AT + 90:.0f}"}, Quota(7, 90.0)),
            ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": f"{(AT + 90) * 1000:.0f}"}, Quota(7, 90.0)),
            ({"x-rate-limit-remaining": "7", "x-rate-limit-reset": A_MINUTE_LATER}, Quota(7, 60.0)),
            ({"x-ratelimit-remaining": "7, 3;w=60"}, Quota(7, None)),
            ({"x-ratelimit-remaining": "-1", "x-ratelimit-reset": "30"}, None),
            ({"x-ratelimit-remaining": "unlimited"}, None),
            ({"x-ratelimit-reset": "30"}, None),
            ({"ratelimit": "nonsense"}, None),
            ({}, None),
        ],
    )
    def test_every_dialect_is_read(self, fields: dict[str, str], expected: Quota | None) -> None:
        """Of several limits the nearest one counts, and of several that are used up the one that takes longest."""
        assert quota(fields, AT) == expected

    def test_a_reset_by_the_epoch_is_measured_by_the_upstreams_clock(self) -> None:
        fields = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{AT + 90:.0f}", "date": NOON}
        assert quota(fields, AT + 7200) == Quota(0, 90.0)


class TestFields:
    def test_an_answer_that_says_nothing_about_time_costs_nothing(self) -> None:
        """Date alone says nothing: every answer has one."""
        assert telling_fields(CIMultiDict({"Date": NOON, "Content-Type": "text/plain", "ETag": '"1"'})) == {}

    def test_repeated_fields_are_one_list(self) -> None:
        headers = CIMultiDict([("Cache-Control", "public"), ("CACHE-CONTROL", "max-age=5"), ("Date", NOON), ("X", "y")])
        assert telling_fields(headers) == {"cache-control": "public, max-age=5", "date": NOON}

    @given(
        st.dictionaries(
            st.sampled_from(
                ["cache-control", "expires", "date", "age", "last-modified", "retry-after", "ratelimit"]
                + [f"x-ratelimit-{name}" for name in ("remaining", "reset")]
            ),
            st.one_of(
                st.text(max_size=40),
                st.sampled_from(["max-age=", "s-maxage", NOON, "9" * 400, '"a";r=1;t=', "1e999", "\udce9", "²"]),
                st.from_regex(r"(max-age|no-cache|r|t|remaining)=?[0-9]{0,30}", fullmatch=True),
                st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,5} \d+:\d+:\d+ [A-Z+0-9-]+", fullmatch=True),
            ),
        )
    )
    def test_nothing_that_an_upstream_says_breaks_anything(self, fields: dict[str, str]) -> None:
        """What cannot be read was not said; what was read is within bounds."""
        good_for, changed, wait, left = (read(fields, AT) for read in (fresh_for, modified_at, retry_after, quota))
        assert good_for is None or 0 <= good_for <= MAX_SECONDS
        assert changed is None or changed <= AT
        assert wait is None or wait >= 0
        assert left is None or (left.remaining >= 0 and (left.reset_after is None or left.reset_after >= 0))
