"""Every format that is accepted passes the prober as the api uses it: bound early, forked slim, several files a child."""
from pathlib import Path

import pytest

CORPUS = Path(__file__).resolve().parents[1] / "fuzz" / "corpus" / "media_probe"
PICTURES = {".png", ".jpg", ".webp"}
VIDEOS = sorted(p.name for p in CORPUS.iterdir() if p.suffix not in PICTURES)


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_of_every_kind_is_taken(api, name):
    answer = api.post_job(CORPUS / name, CORPUS / "a.png")
    assert answer.status_code == 202, answer.text
    assert answer.json()["input"]["video"]["frames"] > 0


def test_pictures_of_every_kind_are_taken_together_with_the_video(api, media):
    pictures = sorted(p for p in CORPUS.iterdir() if p.suffix in PICTURES)
    answer = api.post_job(media.video, pictures)
    assert answer.status_code == 202, answer.text
    assert [r["container"] for r in answer.json()["input"]["references"]] == ["jpeg", "png", "webp"]


def test_the_picture_that_is_none_is_named(api, media):
    problem = api.post_job(media.video, [CORPUS / "a.png", CORPUS / "a.jpg", media.video]).json()
    assert problem["code"] == "media_container_refused" and "reference/2" in str(problem["errors"])
