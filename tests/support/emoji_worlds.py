"""Find scenes of an emoji world by their nouns."""

from modeling_florenz.data.emoji_scenes.world import EmojiWorld, Scene


def scene_of(world: EmojiWorld, *keys: str, background: str = "blue", seed: int = 0) -> Scene:
    index = {noun.key: position for position, noun in enumerate(world.nouns)}
    return Scene(tuple(index[key] for key in keys), background, seed)
