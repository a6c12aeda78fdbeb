"""Report, before the first step, which targets are longer than what is learned and measured of them."""

import logging
from collections.abc import Iterable

from ..data.rows import Rows
from ..processing_florenz import FlorenzProcessor


logger = logging.getLogger(__name__)


def warn_of_cut_targets(parts: Iterable[Rows], processor: FlorenzProcessor, what: str = "training") -> int:
    """Count the targets above the processor's `max_target_length`, and warn once if there are any.

    Args:
        parts: rows with a `target`.
        processor: cuts the targets, which then have no end token.
        what: the data is for.

    Returns:
        the number of targets that are cut.
    """
    limit, total, cut = processor.max_target_length, 0, 0
    for rows in parts:
        targets = rows.column("target")
        total += len(targets)
        # A token is a byte at least, so that most targets need not be encoded.
        long = [target for target in targets if len(target.encode(errors="surrogatepass")) + 2 > limit]
        cut += sum(length > limit for length in processor.target_lengths(long)) if long else 0
    if cut:
        logger.warning(
            "%d of %d targets for %s have more than %d tokens and are cut, without an end token: raise "
            "max_target_length to use them whole",
            cut,
            total,
            what,
            limit,
        )
    return cut
