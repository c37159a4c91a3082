"""From prompts to images: the diffusion model, an image's recipe, and the sampling."""
