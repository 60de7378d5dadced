"""The demo's texts overlap: a model finds their categories, but not all of them."""

import random
from pathlib import Path

from sentence_transformers import SentenceTransformer
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, v_measure_score
from support.data.make_snapshot import record

PAPERS = 120


def test_scores_of_the_demo_look_like_those_of_real_papers(minilm: Path) -> None:
    rng = random.Random(0)
    # Every third record is one of the wanted categories.
    records = [record(rng, 3 * number) for number in range(PAPERS)]
    finest = [made["categories"].split()[0] for made in records]
    model = SentenceTransformer(str(minilm), device="cpu")
    # The beginning of a text is enough, and takes half the time.
    model.max_seq_length = 128
    vectors = model.encode([f"{made['title']} {made['abstract']}" for made in records])
    for labels in ([name.split(".")[0] for name in finest], finest):
        clusters = KMeans(len(set(labels)), n_init=10, random_state=0).fit_predict(vectors)
        for score in (adjusted_rand_score, v_measure_score):
            assert 0.3 <= score(labels, clusters) <= 0.9, (labels[0], score)
