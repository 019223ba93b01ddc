"""ESPnet's classification model has the size of its recipes."""

from m4ser.models.systems import system_class


def test_model_is_that_of_espnets_recipe():
    """MELD cls1: weighted layers, Transformer 4 x 128, mean pooling and one linear layer; counted by hand."""
    parser = system_class("espnet_cls").get_parser()
    args = parser.parse_args(["--labels", *"abcdefg"])
    args.encoder_conf = {
        "output_size": 128,
        "attention_heads": 4,
        "linear_units": 512,
        "num_blocks": 4,
        "input_layer": "linear",
    }
    args.speech_encoder_conf = {"num_layers": 13, "input_size": 768, "frame_rate": 50.0}
    model = system_class("espnet_cls").build_model(args)
    layer = 4 * (128 * 128 + 128) + 128 * 512 + 512 + 512 * 128 + 128 + 4 * 128
    encoder = 768 * 128 + 128 + 2 * 128 + 4 * layer + 2 * 128
    assert sum(p.numel() for p in model.parameters()) == 13 + encoder + 128 * 7 + 7
    assert type(model.inner).__module__ == "espnet2.cls.espnet_model"
    assert model.inner.decoder.pooling == "mean"
