"""How the demo draws animals: solids, bodies, coats, faces, scenes and the shots taken of them."""
