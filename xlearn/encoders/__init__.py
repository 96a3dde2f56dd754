"""Encoders: one modality to tokens. Built as `encoder(spec)`; `width` is the size of a token.

An encoder with an argument `weights` is pretrained unless it is null. Its argument `rate`, if it has one, multiplies the
learning rate of its parameters where they start from these weights (or from a training of them), in all phases that set no
rates themselves. For random weights it is 1.

An encoder with a static method `reads(**arguments)`, which gets the encoder's arguments, says how data are to be read for it:
`{"size": 96}` is the value of the argument `size` of loaders that leave it open (`xlearn.plan.reading`).
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "audio_cnn": ["AudioCnn"],
        "cnn": ["Cnn"],
        "conv4": ["Conv4"],
        "digit_net": ["DigitNet"],
        "efficientnet_features": ["EfficientNetFeatures"],
        "efficientnet_lite0": ["EfficientNetLite0"],
        "hf": ["HuggingFaceText"],
        "hf_audio": ["HuggingFaceAudio"],
        "lstm": ["Lstm"],
        "minilm": ["MiniLm"],
        "mlp": ["Mlp"],
        "speech_embedding": ["SpeechEmbedding"],
        "tabular_mlp": ["TabularMlp"],
        "text_cnn": ["TextCnn"],
        "torchvision_classifier": ["TorchvisionClassifier"],
        "transformer": ["Transformer"],
        "use_multilingual": ["UseMultilingual"],
    },
)
