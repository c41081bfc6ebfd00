#include <array>

#include "verify/tasks/rows.h"

namespace lorikeet {
namespace {

constexpr std::array<std::string_view, 330> kWords = {
    "ant",      "apple",    "arm",       "arrow",    "autumn",   "baby",     "bag",     "ball",
    "banana",   "band",     "bank",      "barn",     "basket",   "bath",     "beach",   "bean",
    "bear",     "bed",      "bee",       "bell",     "belt",     "bench",    "berry",   "bicycle",
    "bird",     "blanket",  "boat",      "book",     "boot",     "bottle",   "bowl",    "box",
    "branch",   "bread",    "breakfast", "brick",    "bridge",   "broom",    "brother", "brush",
    "bucket",   "butter",   "button",    "cabin",    "cake",     "camera",   "camp",    "candle",
    "captain",  "car",      "card",      "carpet",   "carrot",   "castle",   "cat",     "chair",
    "cheese",   "cherry",   "chicken",   "child",    "chimney",  "circle",   "city",    "clock",
    "cloud",    "coat",     "coffee",    "coin",     "corner",   "cotton",   "cow",     "cradle",
    "crayon",   "cup",      "curtain",   "dance",    "daughter", "desk",     "diamond", "dinner",
    "doctor",   "dog",      "donkey",    "door",     "dragon",   "drawer",   "dress",   "drum",
    "duck",     "eagle",    "ear",       "earth",    "elbow",    "elephant", "engine",  "evening",
    "eye",      "face",     "family",    "farm",     "farmer",   "father",   "feather", "fence",
    "field",    "finger",   "fire",      "fish",     "flag",     "floor",    "flower",  "fog",
    "foot",     "forest",   "fork",      "fountain", "fox",      "friend",   "frog",    "fruit",
    "garden",   "gate",     "ghost",     "gift",     "giraffe",  "glass",    "glove",   "goat",
    "gold",     "grass",    "guitar",    "hammer",   "hand",     "harbor",   "hat",     "heart",
    "helmet",   "hill",     "honey",     "horse",    "hospital", "hotel",    "house",   "hunter",
    "ice",      "island",   "jacket",    "jam",      "jar",      "jewel",    "judge",   "juice",
    "jungle",   "kettle",   "key",       "king",     "kitchen",  "kite",     "kitten",  "knee",
    "knife",    "ladder",   "lake",      "lamp",     "leaf",     "leather",  "lemon",   "letter",
    "library",  "light",    "lion",      "lizard",   "lock",     "magnet",   "map",     "marble",
    "market",   "meadow",   "melon",     "milk",     "mirror",   "monkey",   "moon",    "morning",
    "mother",   "mountain", "mouse",     "museum",   "music",    "nail",     "napkin",  "neck",
    "needle",   "nest",     "night",     "nose",     "notebook", "nurse",    "nut",     "ocean",
    "office",   "onion",    "orange",    "orchard",  "oven",     "owl",      "page",    "paint",
    "palace",   "paper",    "parent",    "park",     "parrot",   "path",     "pear",    "pencil",
    "penguin",  "pepper",   "piano",     "picture",  "pig",      "pillow",   "pilot",   "planet",
    "plate",    "plum",     "pocket",    "pony",     "potato",   "prince",   "pumpkin", "puppy",
    "queen",    "rabbit",   "radio",     "rain",     "river",    "road",     "robin",   "rocket",
    "roof",     "room",     "root",      "rope",     "rose",     "sailor",   "salt",    "sand",
    "saddle",   "scarf",    "school",    "scissors", "sea",      "season",   "shadow",  "sheep",
    "shell",    "ship",     "shirt",     "shoe",     "shoulder", "silver",   "singer",  "sister",
    "sky",      "snail",    "snake",     "snow",     "soap",     "soldier",  "song",    "soup",
    "spider",   "spoon",    "spring",    "square",   "squirrel", "stamp",    "star",    "station",
    "stone",    "story",    "street",    "student",  "sugar",    "summer",   "sun",     "swan",
    "table",    "tailor",   "teacher",   "temple",   "tent",     "theater",  "ticket",  "tiger",
    "toast",    "tomato",   "tooth",     "tower",    "town",     "toy",      "train",   "tree",
    "triangle", "trumpet",  "tunnel",    "turtle",   "umbrella", "uncle",    "valley",  "vase",
    "village",  "violin",   "wagon",     "wall",     "walnut",   "watch",    "water",   "weather",
    "wheel",    "whistle",  "window",    "wing",     "winter",   "wolf",     "wood",    "wool",
    "yard",     "zebra"};

}  // namespace

std::span<const std::string_view> CommonWords() { return kWords; }

}  // namespace lorikeet
