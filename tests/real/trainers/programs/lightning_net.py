"""A linear model by Lightning; `told` gets what its callbacks saw logged, with epoch and step. The second argument is
the bar, tqdm or rich; a third makes it crash in its second epoch.
"""

import json
import sys
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar, TQDMProgressBar

told = Path(sys.argv[1])


class Line(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def loss(self, batch: list[torch.Tensor]) -> torch.Tensor:
        features, numbers = batch
        return torch.nn.functional.mse_loss(self.layer(features), numbers)

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        loss = self.loss(batch)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        self.log("val_loss", self.loss(batch), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05)


class Witness(Callback):
    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.epochs.append({"epoch": trainer.current_epoch, "step": trainer.global_step, **metrics})
        told.write_text(json.dumps(self.epochs))
        if sys.argv[3:] and trainer.current_epoch == 1:
            raise RuntimeError("the disk is full")


lightning.seed_everything(7)
features = torch.randn(160, 4)
data = torch.utils.data.TensorDataset(features, features[:, :1] * 2 + 1)
train = torch.utils.data.DataLoader(data, batch_size=16)
witness = Witness()
bar = RichProgressBar() if sys.argv[2] == "rich" else TQDMProgressBar()
trainer = lightning.Trainer(
    max_epochs=3, accelerator="cpu", callbacks=[witness, bar], logger=False, enable_checkpointing=False, devices=1
)
trainer.fit(Line(), train, torch.utils.data.DataLoader(data, batch_size=32))
