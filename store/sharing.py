"""Who may claim what: studies by the worker time they had of late, and the workers of one study by their places."""

from __future__ import annotations

from .sql import Dialect
from .states import CLAIMABLE_STUDY, listed
from .workers import LIVE_SECONDS

LATE_CLAIMS = 32
"""Of each study that competes for a claim, so many of its latest claims are looked at to share workers fairly."""

KEPT_SECONDS = 2.0
"""For so long a new proposal is kept for the workers that hold less than their share; then anybody may have it. As
long as the pause of a worker that has nothing to do: each has asked by then."""


def shares_sql(dialect: Dialect, offered: str) -> str:
    """CTEs up to `shares (study_id, seconds)`: the worker time of late of studies that compete for a claim.

    Of late means: as far back as the latest claims of every competitor are looked at, and no further than the
    youngest of them is old, so that a study that comes later does not first get all that the others had before.
    """
    most = "greatest" if dialect.single_statement else "max"
    return f"""
        competing AS (
          SELECT DISTINCT s.id, s.created_at, s.task, s.task_version, p.purpose FROM etude_proposals p
            JOIN etude_studies s ON s.id = p.study_id {offered}
          WHERE p.state = 'proposed' AND s.state IN ({listed(CLAIMABLE_STUDY)})
            AND (CAST(:study AS text) IS NULL OR s.name = CAST(:study AS text))),
        late AS (
          SELECT c.id AS study_id, c.created_at, p.claimed_at, coalesce(p.finished_at, {dialect.now}) AS until
          FROM competing c JOIN etude_proposals p ON p.study_id = c.id AND p.purpose = c.purpose
            AND p.seq > (SELECT m.seq FROM etude_proposals m WHERE m.study_id = c.id AND m.purpose = c.purpose
                         AND m.claimed_at IS NOT NULL ORDER BY m.seq DESC LIMIT 1) - {LATE_CLAIMS}
          WHERE p.claimed_at IS NOT NULL AND p.state <> 'proposed' AND (SELECT count(*) FROM competing) > 1),
        since AS (
          SELECT max(began) AS began FROM (
            SELECT CASE WHEN count(*) < {LATE_CLAIMS} THEN max(created_at) ELSE min(claimed_at) END AS began
            FROM late GROUP BY study_id) each_since),
        shares AS (
          SELECT c.id AS study_id, coalesce(sum({most}(0, l.until - {most}(l.claimed_at, n.began))), 0) AS seconds
          FROM (SELECT DISTINCT id FROM competing) c
            LEFT JOIN late l ON l.study_id = c.id LEFT JOIN since n ON true GROUP BY c.id)"""


def rooms_sql(dialect: Dialect) -> str:
    """CTEs up to `rooms (study_id, room)`: how many more trials of a study this worker may have; needs `competing`.

    What a study has open, ready and in training, is shared evenly by its live workers, and what those with few places
    leave by the others: whoever asks first leaves the rest theirs, since a pack of all beside an idle worker is slower
    than a pack of half in each. Only what has been ready for a moment is anybody's. A study has no row here, and so no
    bound, where nobody else is alive, and none binds a worker that has not announced itself.
    """
    most = "greatest" if dialect.single_statement else "max"
    size = "coalesce(CAST(t.value -> 'packing' ->> 'size' AS integer), w.slots)"
    return f"""
        crew AS (
          SELECT c.id AS study_id, w.worker, {size} AS places
          FROM (SELECT DISTINCT id, task, task_version FROM competing) c CROSS JOIN etude_workers w
            CROSS JOIN {dialect.elements("w.tasks", "t")}
          WHERE w.heartbeat_at > {dialect.now} - {LIVE_SECONDS}
            AND t.value ->> 'name' = c.task AND t.value ->> 'version' = c.task_version),
        standing AS (
          SELECT p.study_id, count(*) AS opened,
            sum(CASE WHEN p.state = 'leased' AND p.worker = :worker THEN 1 ELSE 0 END) AS held,
            sum(CASE WHEN p.state = 'proposed' AND p.created_at < {dialect.now} - {KEPT_SECONDS} THEN 1 ELSE 0 END)
              AS anybodys
          FROM etude_proposals p JOIN (SELECT DISTINCT study_id FROM crew WHERE worker = :worker) mine
            ON mine.study_id = p.study_id
          WHERE p.state IN ('proposed', 'leased') GROUP BY p.study_id),
        evenly AS (
          SELECT d.study_id, (d.opened + n.workers - 1) / n.workers AS share FROM standing d
            JOIN (SELECT study_id, count(*) AS workers FROM crew GROUP BY study_id) n ON n.study_id = d.study_id
          WHERE n.workers > 1),
        divided AS (
          SELECT e.study_id, e.share,
            CAST(sum(CASE WHEN c.places < e.share THEN c.places ELSE 0 END) AS integer) AS of_small,
            CAST(sum(CASE WHEN c.places < e.share THEN 0 ELSE 1 END) AS integer) AS others
          FROM evenly e JOIN crew c ON c.study_id = e.study_id GROUP BY e.study_id, e.share),
        rooms AS (
          SELECT d.study_id, {most}(d.anybodys, CASE WHEN c.places < v.share THEN c.places
            ELSE (d.opened - v.of_small + v.others - 1) / v.others END - d.held) AS room
          FROM standing d JOIN divided v ON v.study_id = d.study_id
            JOIN crew c ON c.study_id = d.study_id AND c.worker = :worker)"""
