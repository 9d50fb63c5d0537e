// How parts are drawn. What a part looks like and where it is moved lies in a small texture, two
// texels for each patch, so that nothing of the surface itself changes when parts do.

export const COLUMNS = 256;
export const MODES = { appearance: 0, parts: 1, normals: 2 };
/** What the fourth number of a patch's colour says, added up. */
export const SHOWN = 1;
export const POINTED = 2;
export const CHOSEN = 4;
export const PICKED = 8;
export const DIMMED = 16;

const PLACE = `
  attribute float piece;
  uniform sampler2D looks;
  flat varying vec4 look;
  vec3 placed() {
    int at = int(piece + 0.5);
    ivec2 texel = ivec2(at % ${COLUMNS}, 2 * (at / ${COLUMNS}));
    look = texelFetch(looks, texel, 0);
    return position + texelFetch(looks, texel + ivec2(0, 1), 0).xyz;
  }
  vec4 projected(vec3 at) {
    return look.a < 0.5 ? vec4(0.0, 0.0, 2.0, 1.0) : projectionMatrix * modelViewMatrix * vec4(at, 1.0);
  }
`;

export const SURFACE_VERTEX = `
  ${PLACE}
  varying vec3 eye;
  varying vec3 turned;
  varying vec2 at_uv;
  varying vec4 tint;
  void main() {
    vec3 at = placed();
    eye = (modelViewMatrix * vec4(at, 1.0)).xyz;
    turned = normalMatrix * normal;
    at_uv = uv;
    #ifdef USE_COLOR_ALPHA
      tint = color;
    #else
      tint = vec4(1.0);
    #endif
    gl_Position = projected(at);
  }
`;

export const SURFACE_FRAGMENT = `
  uniform int mode;
  uniform bool has_picture;
  uniform bool has_normals;
  uniform sampler2D picture;
  uniform vec4 base;
  uniform vec3 accent;
  uniform vec3 lit;
  flat varying vec4 look;
  varying vec3 eye;
  varying vec3 turned;
  varying vec2 at_uv;
  varying vec4 tint;
  void main() {
    vec3 flat_normal = normalize(cross(dFdx(eye), dFdy(eye)));
    vec3 facing = has_normals ? normalize(turned) * (gl_FrontFacing ? 1.0 : -1.0) : flat_normal;
    vec3 color = look.rgb;
    if (mode == ${MODES.appearance}) {
      color = base.rgb * tint.rgb;
      if (has_picture) color *= texture2D(picture, at_uv).rgb;
    }
    float light = 0.42 + 0.58 * max(dot(facing, normalize(vec3(0.3, 0.7, 0.65))), 0.0)
      + 0.16 * max(dot(facing, normalize(vec3(-0.7, -0.2, 0.4))), 0.0);
    if (mode == ${MODES.normals}) { color = 0.5 + 0.5 * facing; light = 1.0; }
    color *= light * (gl_FrontFacing ? 1.0 : 0.55);
    int marks = int(look.a + 0.5);
    float rim = pow(1.0 - abs(dot(facing, normalize(eye))), 2.0);
    if ((marks & ${CHOSEN}) != 0) color = mix(color, accent, 0.16 + 0.7 * rim);
    if ((marks & ${DIMMED}) != 0) color = mix(color, vec3(dot(color, vec3(0.3, 0.59, 0.11))), 0.85);
    if ((marks & ${PICKED}) != 0) color = mix(color, lit * light, 0.72 + 0.2 * rim);
    if ((marks & ${POINTED}) != 0) color = mix(color, vec3(1.0), 0.16);
    gl_FragColor = vec4(color, 1.0);
    #include <colorspace_fragment>
  }
`;

export const PICK_VERTEX = `
  ${PLACE}
  flat varying float number;
  void main() {
    vec3 at = placed();
    number = piece + 1.0;
    gl_Position = projected(at);
  }
`;

export const PICK_FRAGMENT = `
  flat varying float number;
  void main() {
    float high = floor(number / 256.0);
    gl_FragColor = vec4((number - 256.0 * high) / 255.0, high / 255.0, 0.0, 1.0);
  }
`;

export const LINE_VERTEX = `
  ${PLACE}
  void main() {
    vec3 at = placed();
    gl_Position = projected(at);
  }
`;

export const LINE_FRAGMENT = `
  uniform vec3 ink;
  void main() {
    gl_FragColor = vec4(ink, 0.4);
    #include <colorspace_fragment>
  }
`;
