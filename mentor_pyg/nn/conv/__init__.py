from .light_gcn_conv import LightGCNConv, light_gcn_norm
from .mmgcn_conv import MMGCNConv
from .ngcf_conv import NGCFConv
from .noisy_light_gcn_conv import NoisyLightGCNConv

__all__ = ["LightGCNConv", "MMGCNConv", "NGCFConv", "NoisyLightGCNConv", "light_gcn_norm"]
