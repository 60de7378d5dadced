"""Generate a small synthetic snapshot in the format of the arXiv metadata snapshot.

Every record has the same 14 fields in the same order and with the same kinds of values as arXiv's: line
breaks in titles, two spaces before and a newline after an abstract, old and new ids, null for unknown
values. A third of the records are cs. or physics. Categories overlap: a text mixes words of its category, of its
archive, of the other categories that it lists and of any category, so that scores are not perfect.
"""

import argparse
import json
import random
from pathlib import Path
from typing import Any

TOPICS = {
    "cs.CL": "sentence translation grammar parsing dialogue corpus summarization token vocabulary speech",
    "cs.CV": "image segmentation camera pixel object detection video frames pose recognition",
    "cs.CR": "encryption attacker malware signature authentication vulnerability key protocol privacy ransomware",
    "cs.DB": "query index transaction relational join storage schema tables consistency workload",
    "cs.RO": "robot gripper manipulation locomotion trajectory navigation lidar actuator planning quadruped",
    "cs.DS": "approximation graph shortest path sorting hashing complexity vertices streaming matching",
    "physics.optics": "laser waveguide photonic cavity refractive wavelength beam fiber resonator interferometer",
    "physics.flu-dyn": "turbulence vortex Reynolds viscosity boundary layer jet droplet convection wake",
    "physics.plasm-ph": "plasma tokamak magnetic confinement ion instability sheath electrons heating fusion",
    "physics.geo-ph": "earthquake seismic fault mantle rupture sediment inversion aftershock crust tomography",
    "physics.bio-ph": "protein membrane diffusion cell motility folding filament motor cytoskeleton force",
    "math.AG": "scheme variety cohomology sheaf moduli divisor birational curve projective bundle",
    "math.PR": "martingale random walk Brownian limit theorem distribution stationary percolation measure",
    "math.CO": "partition coloring hypergraph bijection enumeration matroid permutation tree poset Ramsey",
    "hep-th": "string brane supersymmetry gauge duality holography conformal anomaly compactification moduli",
    "hep-ph": "quark lepton Higgs neutrino collider decay coupling flavor parton cross section",
    "astro-ph.GA": "galaxy star formation halo dust cluster metallicity redshift spiral merger",
    "astro-ph.SR": "sunspot corona stellar flare chromosphere oscillation binary photosphere wind dwarf",
    "cond-mat.str-el": "superconductivity Mott lattice spin Hubbard fermions doping correlation magnetism phase",
    "quant-ph": "qubit entanglement decoherence measurement teleportation gate channel fidelity Bell circuit",
}
# Words of all categories of an archive.
ARCHIVES = {
    "cs": "algorithm software benchmark training dataset learning code user computation architecture",
    "physics": "experiment temperature pressure energy velocity equation field particle numerical waves",
    "math": "proof lemma conjecture theorem finite group algebra bounded compact operator",
}
# The share of a text's words that come from each source; the rest are common words.
SHARES = {"own": 0.15, "archive": 0.09, "listed": 0.2, "any": 0.15}
WANTED = [name for name in TOPICS if name.startswith(("cs.", "physics."))]
OTHERS = [name for name in TOPICS if name not in WANTED]
# Before April 2007, ids began with the archive.
OLD_ARCHIVES = {"hep-th", "hep-ph", "quant-ph"}
VERBS = "study measure simulate derive compare predict bound explain observe improve".split()
JOINS = (
    "of the under strong weak with without two-dimensional efficient robust novel and from".split()
)
# The words of each archive and category. An archive of one category is this category.
WORDS = {name: own.split() for name, own in (ARCHIVES | TOPICS).items()}
WORDS |= {name.split(".")[0]: own for name, own in WORDS.items() if name.split(".")[0] not in WORDS}
WORDS["common"] = JOINS
NAMES = ["Ada Lin", "Béla Kovács", "Chen Wei", "Dora Okafor", "Emil Sørensen", "Fatima Haddad"]
JOURNALS = [None, None, "Phys.Rev.D76:013009,2007", "J. Made Up Res. 12 (2019) 34-56"]


def words(rng: random.Random, categories: list[str], count: int) -> list[str]:
    """Return ``count`` words of a paper that lists ``categories``, the first of which is its own."""
    own, *listed = categories
    pools = {
        "own": [own],
        "archive": [own.split(".")[0]],
        "listed": listed or list(TOPICS),
        "any": list(TOPICS),
        "common": ["common"],
    }
    shares = [*SHARES.values(), 1 - sum(SHARES.values())]
    drawn = rng.choices(list(pools), shares, k=count)
    return [rng.choice(WORDS[rng.choice(pools[source])]) for source in drawn]


def sentence(rng: random.Random, categories: list[str]) -> str:
    """Return a sentence of a paper that lists ``categories``."""
    return f"We {rng.choice(VERBS)} {' '.join(words(rng, categories, rng.randint(8, 18)))}."


def wrapped(text: str, width: int = 75) -> str:
    """Return ``text`` with line breaks, as in arXiv's abstracts."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) >= width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


def record(rng: random.Random, number: int) -> dict[str, Any]:
    """Return record ``number`` (from 0) of a snapshot."""
    category = rng.choice(WANTED) if number % 3 == 0 else rng.choice(OTHERS)
    others = rng.sample([name for name in TOPICS if name != category], rng.choice([0, 0, 1, 2]))
    listed = [category, *others]
    old = category in OLD_ARCHIVES or category.startswith("physics.")
    year, month = rng.randint(8, 25), rng.randint(1, 12)
    if old and rng.random() < 0.5:
        year = rng.randint(0, 6)
        name = f"{category.split('.')[0]}/{year:02d}{month:02d}{number % 1000:03d}"
    else:
        name = f"{year:02d}{month:02d}.{number:05d}"
    title = " ".join(words(rng, listed, rng.randint(5, 12))).capitalize()
    if len(title) > 70 and (cut := title.find(" ", 55)) > 0:
        title = f"{title[:cut]}\n  {title[cut + 1 :]}"
    if rng.random() < 0.1:
        title += r": the $O(n^{2/3})$ \"case\" \'etude"
    abstract = " ".join(sentence(rng, listed) for _ in range(rng.randint(3, 12)))
    authors = rng.sample(NAMES, rng.randint(1, 4))
    day = f"{rng.randint(1, 28):d}"
    created = f"Mon, {day} Apr 20{year:02d} 19:18:42 GMT"
    return {
        "id": name,
        "submitter": rng.choice([authors[0], None]),
        "authors": ", ".join(authors),
        "title": title,
        "comments": rng.choice([None, f"{rng.randint(4, 60)} pages, {rng.randint(1, 20)} figures"]),
        "journal-ref": rng.choice(JOURNALS),
        "doi": rng.choice([None, f"10.0000/made.up.{number}"]),
        "report-no": rng.choice([None, None, f"MU-{number}"]),
        "categories": " ".join(listed),
        "license": rng.choice([None, "http://arxiv.org/licenses/nonexclusive-distrib/1.0/"]),
        "abstract": f"  {wrapped(abstract)}\n",
        "versions": [
            {"version": f"v{version}", "created": created}
            for version in range(1, rng.randint(2, 4))
        ],
        "update_date": f"20{year:02d}-{month:02d}-{int(day):02d}",
        "authors_parsed": [[author.split()[-1], author.split()[0], ""] for author in authors],
    }


def make_snapshot(path: Path, records: int, seed: int = 0) -> None:
    """Write a snapshot of ``records`` records. The same arguments give the same bytes."""
    rng = random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="ascii") as file:
        for number in range(records):
            file.write(json.dumps(record(rng, number), separators=(",", ":")) + "\n")
    partial.rename(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Generate a synthetic snapshot in arXiv's format.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    make_snapshot(arguments.path, arguments.records, arguments.seed)
