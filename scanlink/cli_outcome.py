"""What the command line prints at the end of a run: what it came to, and where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from scanlink.pipeline.run import Outcome
    from scanlink.pipeline.screen_pipeline import ScreenOutcome
    from scanlink.run import RunStats

__all__ = ["tell", "tell_screen"]


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


def tell_screen(outcome: ScreenOutcome) -> None:
    """Print what a run of a screen came to."""
    from scanlink.screen_options import ASKED

    if not outcome.tables:
        print(f"store and pairs are in {outcome.folder}")
        return
    for name, what in (("screen", "target-gene pairs"), ("interactions", "pairs of targets of a gene")):
        if name not in outcome.tables:
            continue
        table, alpha = outcome.tables[name], outcome.alpha[name]
        control = ~table["kind"].isin(ASKED)
        counts = table.loc[~control, "status"].value_counts()
        print(f"{int((~control).sum()):,} {what} asked for, {int(counts.get('ok', 0)):,} tested")
        for status, number in counts.items():
            if status != "ok":
                print(f"  {status:<15}{number:>10,}")
        called = outcome.called(name)
        if name == "screen":
            down = int((called["beta"] < 0).sum())
            print(
                f"{len(called):,} effects at a false discovery rate of {alpha:g}: {down:,} lower the gene, "
                f"{len(called) - down:,} raise it"
            )
            positive = table[table["kind"] == "positive_control"]
            if len(positive):
                found = int((positive["fdr"] < alpha).sum())
                print(f"{found} of {len(positive)} positive controls are among them")
        else:
            more = int((called["beta_interaction"] > 0).sum())
            alone = int((~(called["p_trimmed_interaction"] < 0.05)).sum())
            print(
                f"{len(called):,} interact at a false discovery rate of {alpha:g}: {more:,} synergy, "
                f"{len(called) - more:,} redundancy; {alone:,} are not there (p < .05) without one cell"
            )
        for kind, own in table[control & (table["status"] == "ok")].groupby("kind", sort=False):
            share = float((own["p_value"] < 0.05).mean())
            print(f"  control {kind:<15}{len(own):>8,} tests, {100 * share:.1f} % below .05")
    _told(outcome.stats.values(), outcome.seconds, outcome.failures)
    print(f"table: {outcome.folder / 'screen.parquet'}")
    if "interactions" in outcome.tables:
        print(f"interactions: {outcome.folder / 'interactions.parquet'}")
    if outcome.report is not None:
        print(f"report: {outcome.report}")


def _blocks(outcome: Outcome) -> None:
    _told([outcome.stats, *outcome.epistasis_stats.values()], outcome.seconds, outcome.failures)


def _told(stages: Collection[RunStats], seconds: dict[str, float], failures: list[str]) -> None:
    n_blocks = sum(stats.n_blocks for stats in stages)
    if n_blocks:
        found, computed = sum(stats.n_found for stats in stages), sum(stats.n_computed for stats in stages)
        print(f"{n_blocks} blocks: {found} found finished, {computed} computed; {seconds.get('total', 0):.1f} s in all")
    damaged = sum(len(stats.damaged) for stats in stages)
    if damaged:
        print(f"{damaged} parts were damaged and computed anew")
    if failures:
        first, number = failures[0], len(failures)
        print(
            f"{number} blocks failed again and again and were set aside; their pairs have the status 'failed'. "
            f"{first[0].upper()}{first[1:]}. The same command tries them again"
        )
