"""The harvest, as users run it, against a local server that speaks MTProto."""

from __future__ import annotations

from pathlib import Path

from channel_makers import Post, make_channel
from harvests import harvest_well, photos_of, prepare

from petdata.demo.servers.telegram import TelegramServer
from petdata.demo.servers.telegram_faults import TelegramFaults

MADE = [make_channel(1000 + n, f"channel_{n}", 167, seed=n) for n in range(3)]
CHANNELS = [channel for channel, _ in MADE]
POSTS = [post for _, posts in MADE for post in posts]


def assert_posts(root: Path, posts: list[Post]) -> None:
    """Identities, order and bytes."""
    found = photos_of(root)
    assert sorted(found) == sorted(post.identity_id for post in posts)
    for post in posts:
        photos = found[post.identity_id]
        assert tuple(p.original_sha256 for p in photos) == post.photos, post
        assert [p.position for p in photos] == list(range(len(photos)))


def test_500_messages_in_three_channels(tmp_path: Path) -> None:
    photos = [id for post in POSTS for id in post.photo_ids]
    faults = TelegramFaults(
        expired={id: 1 for id in photos[::12][:20]},
        floods={("messages.getHistory", 2): 1, ("upload.getFile", 30): 1},
        dropped={("upload.getFile", 50)},
        listed_sizes={photos[3]: 7, photos[8]: 10**9},
    )
    root = tmp_path / "workspace"
    assert sum(len(channel.messages) for channel in CHANNELS) >= 500
    with TelegramServer(CHANNELS, faults=faults) as server:
        prepare(root, server, CHANNELS)
        report = harvest_well(root)
        assert_posts(root, POSTS)
        assert report["listings"]["fundraising"] > 5
        assert len([r for r in server.requests if "EXPIRED" in r.outcome]) == 20
        assert len([r for r in server.requests if "FLOOD" in r.outcome]) == 2
        fetched = server.photo_requests()
        assert sorted(fetched) == sorted(photos)
        assert set(fetched.values()) == {1}
        server.forget_requests()
        again = harvest_well(root)
        assert again["photos"] == {}
        assert not server.requests_of("upload.getFile")
        assert not server.requests_of("contacts.resolveUsername")
        assert_posts(root, POSTS)
