"""The models. Those listed in ``classes`` can be trained by name."""

from .als import ALS
from .base import BaseRecommender
from .bm3 import BM3
from .clcrec import CLCRec
from .dual_gnn import DualGNN
from .ease import EASE
from .freedom import FREEDOM
from .grcn import GRCN
from .hccf import HCCF
from .item_neighbors import ItemNeighbors
from .lattice import LATTICE
from .layer_gcn import LayerGCN
from .lgmrec import LGMRec
from .light_gcn import LightGCN
from .light_gcn_m import LightGCNM
from .mentor import MENTOR
from .mf_bpr import MFBPR
from .mgcn import MGCN
from .mmgcl import MMGCL
from .mmgcn import MMGCN
from .mmgf import MMGF
from .mmhcl import MMHCL
from .mmssl import MMSSL
from .ncl import NCL
from .ngcf import NGCF
from .pgl import PGL
from .popularity import Popularity
from .sgl import SGL
from .slmrec import SLMRec
from .smore import SMORE
from .solved import SolvedRecommender
from .user_init import initialize_users
from .vbpr import VBPR

__all__ = [
    "BaseRecommender",
    "SolvedRecommender",
    "initialize_users",
    # Models:
    "MENTOR",
    "MMSSL",
    # Without training steps:
    "Popularity",
    "ItemNeighbors",
    "EASE",
    "ALS",
    "MMGF",
    # Without content:
    "MFBPR",
    "LightGCN",
    "LayerGCN",
    "NGCF",
    "SGL",
    "NCL",
    "HCCF",
    # With content:
    "VBPR",
    "LightGCNM",
    "MMGCN",
    "GRCN",
    "DualGNN",
    "LATTICE",
    "FREEDOM",
    "SLMRec",
    "BM3",
    "CLCRec",
    "MMGCL",
    "SMORE",
    "PGL",
    "MGCN",
    "LGMRec",
    "MMHCL",
]

classes = __all__[__all__.index("MENTOR") :]
