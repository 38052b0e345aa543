from importlib.metadata import PackageNotFoundError, version
try: __version__ = version('hpa_cellcls')
except PackageNotFoundError: __version__ = 'not installed'
