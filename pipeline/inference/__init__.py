"""A trained model applied to whole scenes.

from pipeline.inference import load_model, predict_array, predict_scene

model = load_model("data/model")
predict_scene(model, "scene.tif", "map.tif")
classes_HW = predict_array(model, image_HWC)["classes"][0]
"""

from pipeline.inference.array import predict_array
from pipeline.inference.network import load_model
from pipeline.inference.scene_map import predict_scene

__all__ = ["load_model", "predict_array", "predict_scene"]
