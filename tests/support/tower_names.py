"""Rename a tower's tensors to what Florence-2 called them before transformers had the model."""

TOWER_NAMES_OF_OLD = [
    (r"^model\.multi_modal_projector\.image_projection\.weight$", "image_projection"),
    (r"^model\.multi_modal_projector\.image_position_embed\.", "image_pos_embed."),
    (r"^model\.multi_modal_projector\.", ""),
    (r"^model\.vision_tower\.(convs\.\d+)\.conv\.", r"vision_tower.\1.proj."),
    (r"_block\.(conv[12])\.", r"_block.\1.fn.dw."),
    (r"spatial_block\.norm1\.", "spatial_block.window_attn.norm."),
    (r"channel_block\.norm1\.", "channel_block.channel_attn.norm."),
    (r"\.(window_attn|channel_attn)\.(qkv|proj)\.", r".\1.fn.\2."),
    (r"_block\.norm2\.", "_block.ffn.norm."),
    (r"_block\.ffn\.(fc[12])\.", r"_block.ffn.fn.net.\1."),
    (r"^model\.vision_tower\.", "vision_tower."),
]
