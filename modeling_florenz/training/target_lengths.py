"""Say before the first step which targets are longer than what a model learns of them."""

import logging

from ..processing_florenz import FlorenzProcessor
from .training_data import Groups


logger = logging.getLogger(__name__)


def warn_of_cut_targets(groups: Groups, processor: FlorenzProcessor) -> int:
    """Count the targets above the processor's `max_target_length`, and warn once if there are any.

    Args:
        groups: the training data.
        processor: cuts its targets, which then have no end token.

    Returns:
        the number of targets that are cut.
    """
    limit, total, cut = processor.max_target_length, 0, 0
    for group in groups.values():
        targets = group.column("target")
        total += len(targets)
        # A token is a byte at least, so that most targets need not be encoded.
        long = [target for target in targets if len(target.encode()) + 2 > limit]
        cut += sum(length > limit for length in processor.target_lengths(long)) if long else 0
    if cut:
        logger.warning(
            "%d of %d targets have more than %d tokens and are cut, without an end token: raise max_target_length",
            cut,
            total,
            limit,
        )
    return cut
