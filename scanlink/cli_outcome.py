"""What the command line prints at the end of a run: what it came to, and where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scanlink.pipeline import Outcome

__all__ = ["tell"]


def tell(outcome: Outcome) -> None:
    """Print what a run came to."""
    if outcome.links is None:
        print(f"store and pairs are in {outcome.folder}")
        return
    _links(outcome)
    if outcome.epistasis is not None:
        _epistasis(outcome)
    _blocks(outcome)
    print(f"table: {outcome.folder / 'links.parquet'}")
    if outcome.epistasis is not None:
        print(f"enhancer pairs: {outcome.folder / 'epistasis.parquet'}")
    if outcome.report is not None:
        print(f"report: {outcome.report}")


def _links(outcome: Outcome) -> None:
    links = outcome.links
    assert links is not None
    counts = links["status"].value_counts()
    tested = int(counts.get("ok", 0))
    print(f"{len(links):,} pairs asked for in {links['group'].nunique()} groups, {tested:,} tested")
    for name, number in counts.items():
        if name != "ok":
            print(f"  {name:<15}{number:>10,}")
    print(f"{outcome.n_links:,} links at a false discovery rate of {outcome.alpha:g}")


def _epistasis(outcome: Outcome) -> None:
    table = outcome.epistasis
    assert table is not None
    counts = table["status"].value_counts()
    n_groups, tested = table["group"].nunique(), int(counts.get("ok", 0))
    print(f"{len(table):,} pairs of linked enhancers in {n_groups} groups, {tested:,} tested")
    for name, number in counts.items():
        if name != "ok":
            print(f"  {name:<15}{number:>10,}")
    called = table[table["fdr"] < outcome.epistasis_alpha]
    more = int((called["beta_interaction"] > 0).sum())
    print(
        f"{len(called):,} interact at a false discovery rate of {outcome.epistasis_alpha:g}: {more:,} synergy, "
        f"{len(called) - more:,} redundancy"
    )
    for name, reason in outcome.unfollowed.items():
        print(f"  group {name} has no enhancer pairs: {reason}")


def _blocks(outcome: Outcome) -> None:
    stages = [outcome.stats, *outcome.epistasis_stats.values()]
    n_blocks = sum(stats.n_blocks for stats in stages)
    if n_blocks:
        found, computed = sum(stats.n_found for stats in stages), sum(stats.n_computed for stats in stages)
        print(
            f"{n_blocks} blocks: {found} found finished, {computed} computed; "
            f"{outcome.seconds.get('total', 0):.1f} s in all"
        )
    damaged = sum(len(stats.damaged) for stats in stages)
    if damaged:
        print(f"{damaged} parts were damaged and computed anew")
    if outcome.failures:
        first, number = outcome.failures[0], len(outcome.failures)
        print(
            f"{number} blocks failed again and again and were set aside; their pairs have the status 'failed'. "
            f"{first[0].upper()}{first[1:]}. The same command tries them again"
        )
