import time, pytest, torch
from engine.train import train
NETS = {
 "guided": [],
 "higher": ["model.name=higherhrnet_w32", "model.options={}"] ,
}
def test_probe(tiny_bottomup, console, mini_shards):
    t=time.perf_counter()
    r = train(tiny_bottomup("train.epochs=1", f"data.val={mini_shards('coco')}"), console)
    print("guided", time.perf_counter()-t, r.steps, r.score)
