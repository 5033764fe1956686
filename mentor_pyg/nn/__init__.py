"""Layers, losses and models. All but the models take tensors alone."""

from .conv import LightGCNConv, NoisyLightGCNConv, light_gcn_norm
from .encoder import ModalityEncoder, Propagation, modality_encoders
from .fusion import GlobalFusion, UserFusion
from .loss import (
    Moments,
    alignment_levels,
    bpr_loss,
    content_moments,
    feature_masking_loss,
    gaussian_distance,
    info_nce,
    moments,
    score_triples,
    sum_of_squares,
)
from .multimodal import Encoding, MultimodalEncoder

__all__ = [
    "Encoding",
    "GlobalFusion",
    "MultimodalEncoder",
    "LightGCNConv",
    "ModalityEncoder",
    "Moments",
    "NoisyLightGCNConv",
    "Propagation",
    "UserFusion",
    "alignment_levels",
    "bpr_loss",
    "content_moments",
    "feature_masking_loss",
    "gaussian_distance",
    "info_nce",
    "light_gcn_norm",
    "modality_encoders",
    "moments",
    "score_triples",
    "sum_of_squares",
]
