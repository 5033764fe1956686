from .light_gcn_conv import LightGCNConv, light_gcn_norm
from .noisy_light_gcn_conv import NoisyLightGCNConv

__all__ = ["LightGCNConv", "NoisyLightGCNConv", "light_gcn_norm"]
