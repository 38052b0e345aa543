"What lessons share and the library does not need."

skipped = [] # (check, why) of what was not checked in this process; .ci/test.py shows it

def checked_if(condition, # can it be checked here?
               check: str, # what is checked, in a few words
               why: str, # what is missing, if it cannot
              ) -> bool: # the condition
    "Does this machine have what a check needs? If not, the run of the tests ends with the check and why it was skipped."
    if not condition:
        skipped.append((check, why))
        print(f'Skipped: {check} ({why}).')
    return bool(condition)

def show(images, # arrays: height x width, or height x width x 3
         titles=None, # a title for each image
         columns=None, # images in a row (default: all)
         side=2, # height of an image in inches
         vmax=None, # grey level that is white (default: the highest of each image)
         dpi=80, # pixels of the figure an inch
         aspect=1, # width of an image over its height
        ):
    "Grey or colour images in a grid."
    import matplotlib.pyplot as plt
    columns = columns or len(images)
    rows = -(-len(images)//columns)
    height = side if titles is None else side + .24
    fig, axes = plt.subplots(rows, columns, figsize=(columns*side*aspect, rows*height), squeeze=False, dpi=dpi)
    for ax in axes.flat: ax.axis('off')
    for i, (ax, img) in enumerate(zip(axes.flat, images)):
        ax.imshow(img, cmap='gray', vmin=None if vmax is None else 0, vmax=vmax)
        if titles is not None: ax.set_title(titles[i], fontsize=8)
    fig.tight_layout(pad=.3)

def chain(*steps, # words of each box; a line break where they should break
          word='', # over each arrow
         ): # a matplotlib figure
    "Boxes with arrows between them, from left to right."
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(1.9*len(steps), .9), dpi=90)
    style = dict(boxstyle='round,pad=.6', facecolor='#e3ecf5', edgecolor='#1f4e8c')
    boxes = [ax.text(i, 0, words, ha='center', va='center', fontsize=9, linespacing=1.4, bbox=style) for i, words in enumerate(steps)]
    boxes = [box.get_bbox_patch() for box in boxes]
    for i, (one, next_one) in enumerate(zip(boxes, boxes[1:])):
        between = dict(arrowstyle='-|>', color='#1f4e8c', patchA=one, patchB=next_one, shrinkA=4, shrinkB=4)
        ax.annotate('', (i + 1, 0), (i, 0), arrowprops=between)
        ax.text(i + .5, .15, word, ha='center', fontsize=8, color='#1f4e8c')
    ax.set(xlim=(-.5, len(steps) - .5), ylim=(-1, 1))
    ax.axis('off')
    fig.tight_layout(pad=.1)

def colour(red, green, blue, yellow): # images, 0 to 1
    "As the atlas shows them: microtubules red, protein green, DNA blue, reticulum yellow."
    import numpy as np
    return np.clip(np.dstack([red + yellow/2, green + yellow/2, blue]), 0, 1)

def made_up_predictions(ws, # workspace with fields.csv and masks
                        truth, # table of the true labels of cells: id, number, labels
                        seed=0,
                       ): # table of predictions, a row per cell
    "Predictions made from the truth, with noise: some cells are sure, some are not, and some are wrong."
    import numpy as np, pandas as pd
    from hpa_cellcls.crops import measure_cells
    from hpa_cellcls.data import read_fields, read_masks
    from hpa_cellcls.labels import label_matrix
    tables = []
    for field in read_fields(ws).to_dict('records'):
        cells = measure_cells(*read_masks(ws/'masks'/f'{field["id"]}.tif')).drop(columns=['cy', 'cx', 'nucleus_area', 'pieces'])
        tables.append(cells.assign(id=field['id'], height=field['height'], width=field['width']))
    table = pd.concat(tables, ignore_index=True).merge(truth, on=['id', 'number'])
    shows = label_matrix(table.labels)
    logits = np.random.default_rng([seed, len(table)]).normal(np.where(shows, 1.6, -4), 1.5)
    probabilities = (1/(1 + np.exp(-logits))).astype(np.float32)
    return pd.concat([table.drop(columns='labels'), pd.DataFrame(probabilities, columns=[f'p{k}' for k in range(19)])], axis=1)

small_subcell = dict(side=64, width=48, depth=2, heads=4) # of a SubCell network for lessons

def subcell_tensors(channels=4, # number of channels
                    seed=0, # of the random numbers
                    numbers=(0, 3, 6), # of the layers of the classifier, as the files number them
                   ): # encoder with pooling, and classifier: name -> tensor
    "Random weights of a small SubCell network, under the names of the published files."
    import torch
    rng = torch.Generator().manual_seed(seed)
    width, layers = small_subcell['width'], range(small_subcell['depth'])
    def tensors(name, outputs, *inputs):
        weight = torch.randn(outputs, *inputs, generator=rng)/max(1, torch.Size(inputs).numel())**.5
        bias = .2*torch.randn(outputs, generator=rng)
        return {f'{name}.weight': weight if inputs else 1 + .2*weight, f'{name}.bias': bias}
    n = (small_subcell['side']//16)**2 + 1
    places = dict(cls_token=1, position_embeddings=n)
    out = {f'encoder.embeddings.{name}': torch.randn(1, k, width, generator=rng) for name, k in places.items()}
    out |= tensors('encoder.embeddings.patch_embeddings.projection', width, channels, 16, 16)
    for layer in (f'encoder.encoder.layer.{i}' for i in layers):
        for part in ('attention.attention.query', 'attention.attention.key', 'attention.attention.value', 'attention.output.dense'):
            out |= tensors(f'{layer}.{part}', width, width)
        out |= tensors(f'{layer}.intermediate.dense', 4*width, width) | tensors(f'{layer}.output.dense', width, 4*width)
        out |= tensors(f'{layer}.layernorm_before', width) | tensors(f'{layer}.layernorm_after', width)
    out |= tensors('encoder.layernorm', width)
    for part in 'vu': out |= tensors(f'pool_model.attention_{part}.1', 512, width)
    out |= tensors('pool_model.attention', 2, 512)
    classifier = {}
    for number, outputs, inputs in zip(numbers, (512, 256, 31), (2*width, 512, 256)): classifier |= tensors(number, outputs, inputs)
    return out, classifier
