"""What the stages of reelscribe share: the stage contract, settings, artifacts, devices and errors."""
